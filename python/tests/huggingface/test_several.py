"""Several trainings of one process, and trainers of other libraries."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import Launcher, each_steps
from sampling import full
from trials import Trial, differences

SHORT = {"args": {"num_train_epochs": 1}}


@pytest.mark.parametrize("fit", [1, pytest.param(0, marks=full), pytest.param(2, marks=full)])
def test_folds_are_finished_gone_on_with_and_begun(launcher: Launcher, tmp_path: Path, fit: int) -> None:
    trial = Trial(launcher, tmp_path, {**SHORT, "several": "folds", "callbacks": ["tally"]}, each_steps(4), script="several")
    whole, killed = trial.whole(), trial.launch(KILL=9, KILL_IN=fit)
    assert killed.was_killed and killed.newest().grade == "complete", killed.newest().missing
    assert differences(whole, trial.resumed(killed.newest())) == []


@pytest.mark.parametrize("fit", [1, pytest.param(0, marks=full)])
def test_a_trainer_that_trains_twice_goes_on_in_its_own_part(launcher: Launcher, tmp_path: Path, fit: int) -> None:
    trial = Trial(launcher, tmp_path, {**SHORT, "several": "twice"}, each_steps(4), script="several")
    whole, killed = trial.whole(), trial.launch(KILL=9, KILL_IN=fit)
    assert killed.was_killed and killed.newest().grade == "complete", killed.newest().missing
    assert differences(whole, trial.resumed(killed.newest())) == []


@pytest.mark.parametrize("lora", [pytest.param(None, marks=full), {}])
def test_fine_tuning_with_trl_is_exact(launcher: Launcher, tmp_path: Path, lora: object) -> None:
    Trial(launcher, tmp_path, {"lora": lora}, script="fine_tuned").expect_exact(13)
