"""Gradients that add up over several steps, where tasks or optimizers take turns, are kept for as long as they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Set

import pytest
from pairs import NEVER, Launcher, Training, differences


def exact(launcher: Launcher, folder: Path, kill: int, how: str, optimizer: str) -> Set[str]:
    """Expects equal bits after a kill. Returns the names of the gradients in the checkpoint."""
    whole, killed, resumed = Training(launcher, folder, "accumulated_tasks", NEVER, HOW=how, OPTIMIZER=optimizer).pair(kill)
    newest = killed.newest()
    assert (newest.grade, newest.missing) == ("complete", "")
    assert differences(whole, resumed) == []
    return {key for key in newest.state() if key.startswith(".trainstash.gradients")}


@pytest.mark.sample(each="optimizer")
@pytest.mark.parametrize("optimizer", ["adam", "fused", "sgd"])
@pytest.mark.parametrize("kill", [1, 3, 5, 7])
def test_gradients_of_a_task_that_has_just_taken_its_turn_are_kept(launcher: Launcher, tmp_path: Path, kill: int, optimizer: str) -> None:
    assert exact(launcher, tmp_path, kill, "pairs", optimizer)


@pytest.mark.sample
@pytest.mark.parametrize("kill", [4, 5, 8, 10])
def test_gradients_of_tasks_that_are_mixed_are_kept(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    assert exact(launcher, tmp_path, kill, "threes", "sgd")


@pytest.mark.sample
@pytest.mark.parametrize("kill", [6, 12])
def test_gradients_that_were_cleared_after_the_step_are_not_kept(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    assert exact(launcher, tmp_path, kill, "threes", "sgd") == set()
    assert exact(launcher, tmp_path, kill, "pairs", "adam") == set()


@pytest.mark.sample
@pytest.mark.parametrize("kill", [5, 8])
def test_gradients_of_the_other_task_are_not_waited_for(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    assert exact(launcher, tmp_path, kill, "each", "adam") == set()


@pytest.mark.sample
@pytest.mark.parametrize("optimizer", ["adam", "fused", "sgd"])
@pytest.mark.parametrize("kill", [3, 9])
def test_an_optimizer_that_steps_with_each_batch_does_not_stand_for_one_that_does_not(
    launcher: Launcher, tmp_path: Path, kill: int, optimizer: str
) -> None:
    assert exact(launcher, tmp_path, kill, "two optimizers", optimizer)


def of_script(launcher: Launcher, folder: Path, script: str, kill: int, how: str) -> Set[str]:
    """Expects equal bits of a script that clears its gradients in this way. Returns the names of the gradients in the checkpoint."""
    whole, killed, resumed = Training(launcher, folder, script, NEVER, HOW=how).pair(kill)
    newest = killed.newest()
    assert (newest.grade, newest.missing) == ("complete", "")
    assert differences(whole, resumed) == []
    return {key for key in newest.state() if key.startswith(".trainstash.gradients")}


@pytest.mark.sample(each="how")
@pytest.mark.parametrize("kill", [1, 3, 4, 18])
@pytest.mark.parametrize("how", ["the tail", "the trunk", "the head, in place", "tasks", "none", "none, decayed", "all, in place"])
def test_gradients_that_are_cleared_in_part_are_kept(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    of_script(launcher, tmp_path, "partly_cleared", kill, how)


@pytest.mark.sample(each="how")
@pytest.mark.parametrize("kill", [1, 2, 3, 4, 19])
@pytest.mark.parametrize("how", ["each second time", "mostly"])
def test_gradients_that_are_cleared_now_and_then_are_kept(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    of_script(launcher, tmp_path, "now_and_then_cleared", kill, how)


@pytest.mark.parametrize("kill", [2, 18])
def test_gradients_that_the_script_makes_of_the_old_ones_are_kept(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    of_script(launcher, tmp_path, "replaced_gradients", kill, "")


@pytest.mark.parametrize("kill", [2, 4, 18])
def test_gradients_that_are_all_cleared_for_each_step_are_not_kept(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    assert of_script(launcher, tmp_path, "partly_cleared", kill, "all") == set()


def test_a_checkpoint_whose_gradients_were_needed_after_all_is_followed_by_one_that_has_them(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, "missed_gradients", NEVER)
    whole = training.launch()
    killed = training.launch(KILL=6, CHECKPOINT_AT=3, CHECKPOINT=0)
    newest = killed.newest()
    # That of step 3 lacks them; the fourth step does not clear them.
    assert newest.facts["step"] == 4
    assert any(key.startswith(".trainstash.gradients") for key in newest.state())
    # The undisturbed one never had to find out; all else is equal.
    found = differences(whole, training.launch(resume=newest))
    assert [key for key in found if not key.startswith((".trainstash.clears_gradients", ".trainstash.gradients"))] == []
