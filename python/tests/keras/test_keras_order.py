"""The order of the data: a resume goes on with the batch that would have come next, or the checkpoint says that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from fits import Server, Training, at, differences
from pairs import NEVER, each_steps
from sampling import drawn, mostly_full

Give = Callable[[str], Server]
BACKENDS = ["tensorflow", "jax", "torch"]
#: Data whose next batch can be found again, and a step inside an epoch.
KEPT = [
    "arrays", "arrays in order", "batches of arrays", "split", "weights", "tf.data", "tf.data shuffled", "tf.data repeated",
    "tf.data of unknown length", "tf.data with noise", "tf.data with stateless noise", "tf.data cached", "tf.data cached too late", "PyDataset",
    "PyDataset in threads", "PyDataset that shuffles in place", "PyDataset with an order", "DataLoader", "DataLoader in order",
]  # fmt: skip
DEFAULT = [("tensorflow", "tf.data shuffled"), ("tensorflow", "PyDataset with an order")]
#: Data whose next batch nobody can find again, and a word of the reason.
NAMED = [
    ("tf.data unseeded", "shuffle has no seed"),
    ("tf.data cached in a file", "cache keeps"),
    ("PyDataset with noise", "__getitem__ draws"),
    ("generator", "Python generator"),
]


@pytest.mark.parametrize(
    "backend, data",
    mostly_full([(backend, data) for backend in BACKENDS for data in KEPT], [*((backend, "arrays") for backend in BACKENDS), *DEFAULT]),
)
def test_data_goes_on_where_it_stood(server: Give, tmp_path: Path, backend: str, data: str) -> None:
    training = Training(server(backend), tmp_path, "space", each_steps(3), DATA=data)
    whole = training.whole()
    for step in drawn((3, 12), 1):
        checkpoint = at(whole, step)
        assert (checkpoint.grade, checkpoint.missing) == ("complete", "")
        resumed = training.resumed(checkpoint)
        assert differences(whole.newest(), resumed.newest()) == []


@pytest.mark.parametrize("data, why", mostly_full(NAMED, NAMED[:1]))
def test_data_that_cannot_go_on_is_named(server: Give, tmp_path: Path, data: str, why: str) -> None:
    training = Training(server("tensorflow"), tmp_path, "space", each_steps(3), DATA=data)
    whole = training.whole()
    checkpoint = at(whole, 12)
    assert checkpoint.grade == "partial"
    assert why in checkpoint.missing
    # No batch is trained twice, and none is left out.
    assert training.resumed(checkpoint).newest().facts["step"] == whole.newest().facts["step"]


def test_a_fit_without_an_epoch_left_ends_with_the_place_that_it_had(server: Give, tmp_path: Path) -> None:
    training = Training(server("tensorflow"), tmp_path, "space", {**NEVER, "everyEpochs": 1}, DATA="tf.data repeated", CALLBACKS="counts", OPTIMIZER="accumulating", SEED=1)
    whole = training.whole()
    assert differences(whole.newest(), training.resumed(whole.newest()).newest()) == []


def test_data_without_a_length_goes_on_at_its_end(server: Give, tmp_path: Path) -> None:
    """Nobody knows that the fifth batch is the last one before another is asked for: the epoch that is left has none."""
    policy = {**each_steps(1), "everyEpochs": 1}
    training = Training(server("tensorflow"), tmp_path, "space", policy, DATA="tf.data of unknown length", CALLBACKS="counts", SEED=1)
    whole = training.whole()
    chosen = [one for one in whole.checkpoints() if one.facts["step"] in (5, 6, 10)]
    assert {one.facts["step"] for one in chosen} == {5, 6, 10}
    for checkpoint in drawn(chosen, 1):
        assert (checkpoint.grade, checkpoint.missing) == ("complete", "")
        assert differences(whole.newest(), training.resumed(checkpoint).newest()) == []
