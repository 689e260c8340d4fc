"""A killed and resumed training is the same to the bit as one left alone; where it cannot be, the checkpoint is partial and names why."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest
from pairs import EACH_EPOCH, NEVER, Launch, Launcher, Training, differences, each_steps


def expect_exact(launcher: Launcher, folder: Path, script: str, kill: int, policy: Dict[str, Any] = NEVER, **env: Any) -> Launch:
    whole, killed, resumed = Training(launcher, folder, script, policy, **env).pair(kill)
    assert differences(whole, resumed) == []
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert (resumed.newest().grade, resumed.newest().missing) == ("complete", "")
    return killed


def expect_partial(launcher: Launcher, folder: Path, script: str, kill: int, names: str, **env: Any) -> Launch:
    _, killed, resumed = Training(launcher, folder, script, NEVER, **env).pair(kill)
    assert killed.newest().grade == "partial"
    assert names in killed.newest().missing
    return resumed


@pytest.mark.sample(each="workers")
@pytest.mark.parametrize(("kill", "workers"), [(1, 0), (15, 0), (17, 2), (47, 0)])
def test_from_inside_an_epoch(launcher: Launcher, tmp_path: Path, kill: int, workers: int) -> None:
    expect_exact(launcher, tmp_path, "plain", kill, WORKERS=workers)


@pytest.mark.sample
@pytest.mark.parametrize("kill", [17, 33])
def test_from_the_end_of_an_epoch_the_next_one_begins(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    killed = expect_exact(launcher, tmp_path, "plain", kill, EACH_EPOCH, CHECKPOINT=0)
    facts = killed.newest().facts
    assert (facts["epoch"], facts["batch"], facts["step"]) == (kill // 16, 0, kill // 16 * 16)
    # The metrics are those of the epoch itself, its validation among them.
    assert "val_loss" in facts["metrics"]


def test_killed_in_a_validation_it_goes_on_from_the_checkpoint_before(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, "plain", each_steps(16))
    whole = training.launch()
    killed = training.launch(DIE_IN_VALIDATION=1)
    assert killed.was_killed
    # The checkpoint of step 32 waited for the end of its epoch.
    assert [one.facts["step"] for one in killed.checkpoints()] == [16]
    assert differences(whole, training.launch(resume=killed.newest())) == []


def test_a_checkpoint_of_the_script_at_the_last_batch_leaves_the_end_of_the_epoch_out_and_says_so(launcher: Launcher, tmp_path: Path) -> None:
    resumed = expect_partial(launcher, tmp_path, "plain", 32, "the rest of this epoch is skipped by a resume from here, which begins the next epoch")
    assert min(resumed.log()) == 33
    assert "the resume from step 32 was not exact: the rest of this epoch" in resumed.newest().missing


@pytest.mark.sample(each="how")
@pytest.mark.parametrize("kill", [5, 20])
@pytest.mark.parametrize("how", ["anew", "function", "curriculum", "resizing", "branches"])
def test_loaders_that_are_made_in_the_loop(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    expect_exact(launcher, tmp_path, "loader_per_epoch", kill, HOW=how)


@pytest.mark.sample(each=lambda params: params["how"].split()[0])
@pytest.mark.parametrize(
    ("how", "kill"), [("nested", 3), ("nested", 9), ("nested", 14), ("zipped", 3), ("zipped", 9), ("zipped with more", 8), ("next", 9), ("one after the other", 9)]
)
def test_loaders_that_are_read_together(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    expect_exact(launcher, tmp_path, "several_loaders", kill, HOW=how)


def test_what_follows_a_checkpoint_of_the_script_in_its_round_is_named(launcher: Launcher, tmp_path: Path) -> None:
    expect_partial(launcher, tmp_path, "several_loaders", 3, "the rest of this round of the loop is skipped by a resume from here (several_loaders.py:", HOW="validated inside")


@pytest.mark.sample(each="how")
@pytest.mark.parametrize(
    ("how", "kill", "workers"),
    [("split", 17, 0), ("tracked split", 17, 0), ("own generator", 5, 2), ("own generator", 17, 0), ("shared", 5, 0), ("shared", 17, 2), ("epoch begins", 17, 0)],
)
def test_what_is_drawn_outside_of_the_loop(launcher: Launcher, tmp_path: Path, how: str, kill: int, workers: int) -> None:
    expect_exact(launcher, tmp_path, "draws", kill, HOW=how, WORKERS=workers)


def test_other_data_of_the_same_size_is_told(launcher: Launcher, tmp_path: Path) -> None:
    _, _, resumed = Training(launcher, tmp_path, "draws", HOW="unseeded").pair(17)
    assert "the data is another: as many samples as before" in resumed.newest().missing


@pytest.mark.sample(count=5)
@pytest.mark.parametrize(
    ("how", "kill"),
    [
        ("while", 18), ("range", 5), ("start", 18), ("function of batches", 18), ("steps", 18), ("forever", 18), ("rounds", 18),
        ("prefetched and kept", 18), ("schedule after the step", 18), ("steps", 16), ("steps", 32), ("forever", 16), ("forever", 32),
    ],
)  # fmt: skip
def test_loops_by_steps(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    expect_exact(launcher, tmp_path, "own_loop", kill, HOW=how)


@pytest.mark.sample
@pytest.mark.parametrize("how", ["steps", "forever", "function of batches"])
def test_a_resume_from_the_very_last_step_ends_with_the_state_of_a_training_that_is_over(launcher: Launcher, tmp_path: Path, how: str) -> None:
    expect_exact(launcher, tmp_path, "own_loop", 30 if how == "function of batches" else 40, HOW=how)


@pytest.mark.sample(each="how")
@pytest.mark.parametrize("kill", [5, 9, 10, 11, 15, 20])
@pytest.mark.parametrize("how", ["phases", "same loader", "function"])
def test_loops_without_epochs_one_after_the_other(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    expect_exact(launcher, tmp_path, "phases", kill, HOW=how)


def test_due_where_one_loop_ends_and_another_begins(launcher: Launcher, tmp_path: Path) -> None:
    expect_exact(launcher, tmp_path, "phases", 11, each_steps(10), HOW="phases", CHECKPOINT=0)


@pytest.mark.sample
@pytest.mark.parametrize("kill", [5, 8, 12, 14, 16, 20, 30])
def test_loops_without_epochs_that_alternate(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    expect_exact(launcher, tmp_path, "phases", kill, HOW="alternating")


@pytest.mark.sample
@pytest.mark.parametrize("how", ["drawn", "phases", "once"])
def test_a_training_without_epochs_that_was_at_its_end_is_not_done_again(launcher: Launcher, tmp_path: Path, how: str) -> None:
    training = Training(launcher, tmp_path, "phases", HOW=how)
    whole = training.launch()
    killed = training.launch(DIE="behind")
    assert killed.was_killed
    for ended in (killed, whole):
        assert ended.newest().missing == ""
        again = training.launch(resume=ended.newest())
        assert again.code == 0
        assert again.log() == {}
        assert differences(whole, again) == []


def test_a_training_that_its_own_rule_has_ended_stays_ended_however_often_it_is_resumed(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, "early")
    whole = training.launch()
    assert len(whole.log()) == 32
    newest = whole.newest()
    for _ in range(3):
        again = training.launch(resume=newest)
        assert (again.code, again.log()) == (0, {})
        assert differences(whole, again) == []
        newest = again.newest()


def test_a_batch_that_is_drawn_before_the_step_is_named(launcher: Launcher, tmp_path: Path) -> None:
    resumed = expect_partial(launcher, tmp_path, "own_loop", 5, "`x` starts again on a resume (own_loop.py:", HOW="prefetched")
    assert "the resume from step 5 was not exact: `x`" in resumed.newest().missing


@pytest.mark.sample(each="how")
@pytest.mark.parametrize(("how", "kill", "workers"), [("stateful", 20, 2), ("accelerate", 7, 0), ("accelerate", 20, 2), ("tensor", 20, 0)])
def test_loaders_of_other_packages(launcher: Launcher, tmp_path: Path, how: str, kill: int, workers: int) -> None:
    expect_exact(launcher, tmp_path, "loaders_of_others", kill, HOW=how, WORKERS=workers)


def test_a_loader_whose_state_dict_fails_never_ends_a_training(launcher: Launcher, tmp_path: Path) -> None:
    _, _, resumed = Training(launcher, tmp_path, "loaders_of_others", HOW="throws").pair(20)
    assert len(resumed.log()) == 28


def test_gradients_left_over_at_an_epochs_end_are_kept(launcher: Launcher, tmp_path: Path) -> None:
    killed = expect_exact(launcher, tmp_path, "accumulation", 5, EACH_EPOCH, HOW="left over")
    assert any(key.startswith(".trainstash.gradients") for key in killed.newest().state())


def test_gradients_that_their_own_optimizer_has_used_are_not_left_over(launcher: Launcher, tmp_path: Path) -> None:
    killed = expect_exact(launcher, tmp_path, "accumulation", 7, EACH_EPOCH, HOW="critic")
    # Three epochs of ten batches: the model's are left over at the end of the first and the third.
    kept = {key for one in killed.checkpoints() for key in one.state() if key.startswith(".trainstash.gradients")}
    assert any(".model." in key for key in kept)
    assert not any(".critic." in key for key in kept)


@pytest.mark.sample
@pytest.mark.parametrize("policy", [EACH_EPOCH, each_steps(1)])
def test_gradients_that_no_optimizer_clears_are_kept(launcher: Launcher, tmp_path: Path, policy: Dict[str, Any]) -> None:
    expect_exact(launcher, tmp_path, "accumulation", 6, policy, HOW="some only")


@pytest.mark.sample
@pytest.mark.parametrize("how", ["interrupted", "error"])
def test_a_loop_that_is_broken_off_and_caught_saves_nothing_new(launcher: Launcher, tmp_path: Path, how: str) -> None:
    training = Training(launcher, tmp_path, "accumulation", each_steps(2), HOW=how)
    whole = training.launch()
    broken = training.launch(KILL=3)
    assert broken.code == 0
    assert [one.facts["step"] for one in broken.checkpoints()] == [2]
    assert differences(whole, training.launch(resume=broken.newest())) == []


def test_a_running_total_is_named_inside_of_an_epoch_and_not_at_its_end(launcher: Launcher, tmp_path: Path) -> None:
    expect_partial(launcher, tmp_path, "variables", 20, "`total` starts again on a resume (variables.py:", HOW="plain")
    expect_exact(launcher, tmp_path, "variables", 20, EACH_EPOCH, HOW="plain", CHECKPOINT=0)


def test_the_best_of_all_epochs_is_named_at_an_epochs_end_too(launcher: Launcher, tmp_path: Path) -> None:
    _, killed, resumed = Training(launcher, tmp_path, "variables", EACH_EPOCH, HOW="best", CHECKPOINT=0).pair(20)
    assert "`best` starts again on a resume" in killed.newest().missing
    # It is printed and nothing else comes of it: the training itself is the same.
    assert "was not exact" not in resumed.newest().missing


@pytest.mark.sample
@pytest.mark.parametrize("kill", [7, 20, 33])
def test_a_state_travels_with_each_checkpoint(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    expect_exact(launcher, tmp_path, "variables", kill, HOW="state")
    expect_exact(launcher, tmp_path, "variables", kill, EACH_EPOCH if kill > 16 else each_steps(5), HOW="state", CHECKPOINT=0)


def test_a_meter_of_the_scripts_own_is_seen_to_change(launcher: Launcher, tmp_path: Path) -> None:
    expect_partial(launcher, tmp_path, "variables", 20, "`meter.sum`, `meter.count` start again on a resume", HOW="meter")
    expect_exact(launcher, tmp_path, "variables", 20, EACH_EPOCH, HOW="meter", CHECKPOINT=0)


def test_objects_with_a_state_that_nobody_gave_to_init_are_named(launcher: Launcher, tmp_path: Path) -> None:
    _, killed, _ = Training(launcher, tmp_path, "variables", HOW="others").pair(20)
    assert "`noise` was not given to init, so a resume starts it anew" in killed.newest().missing
    assert "`untracked` was not given to init, so a resume starts it anew" in killed.newest().missing


@pytest.mark.sample(count=2)
@pytest.mark.parametrize("how", ["workers that stay, with a generator", "workers", "no workers"])
@pytest.mark.parametrize("kill", [5, 20])
def test_a_validation_loader_outside_of_the_loop_changes_no_bits(launcher: Launcher, tmp_path: Path, how: str, kill: int) -> None:
    expect_exact(launcher, tmp_path, "validation", kill, HOW=how)


def test_a_validation_loader_whose_workers_stay_draws_once_more_and_is_named(launcher: Launcher, tmp_path: Path) -> None:
    early = Training(launcher, tmp_path / "early", "validation", NEVER, HOW="workers that stay")
    whole, killed, resumed = early.pair(5)
    # Its workers had not started yet: both trainings were still to draw.
    assert (differences(whole, resumed), killed.newest().grade) == ([], "complete")
    late = Training(launcher, tmp_path / "late", "validation", NEVER, HOW="workers that stay")
    whole, killed, resumed = late.pair(20)
    assert differences(whole, resumed) != []
    assert killed.newest().grade == "partial"
    assert "persistent_workers outside of run.batches draws once more" in killed.newest().missing


@pytest.mark.parametrize("how", ["continue", "continue in a try", "return"])
def test_code_that_a_round_has_left_behind_it_is_not_missed_by_a_resume(launcher: Launcher, tmp_path: Path, how: str) -> None:
    expect_exact(launcher, tmp_path, "left_rounds", 7, NEVER, HOW=how)


def test_code_in_a_finally_is_missed_by_a_resume_from_before_it(launcher: Launcher, tmp_path: Path) -> None:
    expect_partial(launcher, tmp_path, "left_rounds", 7, "the rest of this round of the loop is skipped", HOW="finally")


@pytest.mark.sample(count=1)
@pytest.mark.parametrize("how", ["one layer", "all weights", "slots", "trained before"])
def test_what_the_script_does_to_weights_on_its_way_to_the_place_leaves_no_trace(launcher: Launcher, tmp_path: Path, how: str) -> None:
    expect_exact(launcher, tmp_path, "on_the_way", 37, HOW=how)
