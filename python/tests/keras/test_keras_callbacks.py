"""Other callbacks: what they count and find best goes on, or they are named."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from fits import Server, Training, at, differences
from pairs import EACH_EPOCH, each_steps
from sampling import full, mostly_full

Give = Callable[[str], Server]
KNOWN = ["several", "plateau", "early stopping", "best file", "csv", "schedule", "backup", "counts", "own kinds"]


@pytest.mark.parametrize("callbacks, place", mostly_full([(one, place) for one in KNOWN for place in ("first", "last")], [("several", "last"), ("own kinds", "first")], 1))
def test_a_callback_goes_on_after_a_kill(server: Give, tmp_path: Path, callbacks: str, place: str) -> None:
    whole = Training(server("tensorflow"), tmp_path / "u", "space", EACH_EPOCH, EPOCHS=7, CALLBACKS=callbacks, PLACE=place, SEED=1)
    ended = whole.whole()
    training = Training(server("tensorflow"), tmp_path / "k", "space", EACH_EPOCH, EPOCHS=7, CALLBACKS=callbacks, PLACE=place, SEED=1)
    killed = training.launch(KILL=18)
    assert killed.was_killed, killed.output
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    resumed = training.resumed(killed.newest())
    assert differences(ended.newest(), resumed.newest()) == []
    assert resumed.output.split("EPOCHS")[1] == ended.output.split("EPOCHS")[1]
    for name in ("log.csv", "best.weights.h5"):
        ours, theirs = training.work / name, whole.work / name
        assert ours.exists() == theirs.exists()
        if name == "log.csv" and ours.exists():
            assert ours.read_text() == theirs.read_text()


@full
@pytest.mark.parametrize("callbacks", ["schedule", "counts", "plateau"])
def test_a_callback_goes_on_inside_an_epoch(server: Give, tmp_path: Path, callbacks: str) -> None:
    training = Training(server("jax"), tmp_path, "space", each_steps(7), CALLBACKS=callbacks)
    whole = training.whole()
    assert differences(whole.newest(), training.resumed(at(whole, 7)).newest()) == []


def test_a_callback_that_hides_its_state_is_named(server: Give, tmp_path: Path) -> None:
    whole = Training(server("tensorflow"), tmp_path, "space", CALLBACKS="hides").whole()
    assert whole.newest().grade == "partial"
    assert "Hides.rates" in whole.newest().missing


def test_a_kind_of_kerass_callback_that_compares_in_another_way_is_named(server: Give, tmp_path: Path) -> None:
    whole = Training(server("tensorflow"), tmp_path, "space", CALLBACKS="turned around").whole()
    assert whole.newest().grade == "partial"
    assert "Eager.monitor_op" in whole.newest().missing


def test_what_functions_and_models_of_the_script_keep_is_named_and_each_later_checkpoint_says_so(server: Give, tmp_path: Path) -> None:
    training = Training(server("tensorflow"), tmp_path, "hidden", EACH_EPOCH)
    first = training.whole().checkpoints()[0]
    assert first.grade == "partial"
    for name in ("RATES", "average", "layer counted.steps_seen"):
        assert f"`{name}` starts again on a resume" in first.missing
    assert "the resume from step 6 went without" in training.resumed(first).newest().missing
