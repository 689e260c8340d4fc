"""Several fits in one process: finished ones are as they were, the interrupted one goes on, later ones begin."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from fits import Server, Training, at, differences
from pairs import EACH_EPOCH, each_steps
from sampling import drawn, full, mostly_full

Give = Callable[[str], Server]
KINDS = ["one callback", "two callbacks", "freezing", "folds"]


@pytest.mark.parametrize("kind", mostly_full(KINDS, ["freezing"]))
def test_each_fit_goes_on_or_is_as_it_was(server: Give, tmp_path: Path, kind: str) -> None:
    whole = Training(server("tensorflow"), tmp_path / "whole", "several", EACH_EPOCH, KIND=kind).whole()
    for kill in drawn((7, 13), 1):
        training = Training(server("tensorflow"), tmp_path / str(kill), "several", EACH_EPOCH, KIND=kind)
        killed = training.launch(KILL=kill)
        assert killed.was_killed, killed.output
        assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
        resumed = training.resumed(killed.newest())
        assert differences(whole.newest(), resumed.newest()) == []
        assert fits_in(resumed.output) == fits_in(whole.output)


def test_a_finished_run_trains_nothing_more(server: Give, tmp_path: Path) -> None:
    training = Training(server("tensorflow"), tmp_path, "space", EPOCHS=2)
    whole = training.whole()
    again = training.resumed(whole.newest())
    assert differences(whole.newest(), again.newest()) == []
    assert "STEPS 10" in again.output
    # Its history is there, too.
    assert "EPOCHS 2" in again.output


@full
def test_a_script_may_ask_for_more_epochs(server: Give, tmp_path: Path) -> None:
    training = Training(server("tensorflow"), tmp_path, "space", SEED=1)
    whole = training.whole(EPOCHS=4)
    shorter = training.whole(EPOCHS=2)
    assert differences(whole.newest(), training.resumed(shorter.newest(), EPOCHS=4).newest()) == []


@full
def test_steps_trained_at_once_are_counted(server: Give, tmp_path: Path) -> None:
    training = Training(server("tensorflow"), tmp_path, "space", each_steps(3), AT_ONCE=2)
    whole = training.whole()
    assert whole.newest().facts["step"] == 20
    for checkpoint in whole.checkpoints():
        assert differences(whole.newest(), training.resumed(checkpoint).newest()) == []


@full
@pytest.mark.parametrize("part", ["data", "callbacks", "random", "place", "step"])
def test_a_fault_of_the_package_fails_no_training(server: Give, tmp_path: Path, part: str) -> None:
    ended = Training(server("tensorflow"), tmp_path, "broken", PART=part).whole()
    assert "STEPS 20" in ended.output
    assert all(one.grade != "complete" for one in ended.checkpoints())
    # Somebody is told.
    assert ended.checkpoints() or ended.events("notice") or "not recorded" in ended.output


def fits_in(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("FIT")]


@pytest.mark.sample
@pytest.mark.parametrize("callbacks, step", [("none", 20), ("early stopping", 25)])
def test_a_fit_whose_last_epoch_is_over_still_gets_its_averages(server: Give, tmp_path: Path, callbacks: str, step: int) -> None:
    epochs = {"none": 4, "early stopping": 7}[callbacks]
    training = Training(server("tensorflow"), tmp_path, "space", EACH_EPOCH, OPTIMIZER="average", CALLBACKS=callbacks, EPOCHS=epochs, SEED=1)
    whole = training.whole()
    before = at(whole, step)
    assert before.path != whole.newest().path and before.grade == "complete"
    resumed = training.resumed(before)
    assert differences(whole.newest(), resumed.newest()) == []
