"""The session of a Lightning training, beside its bits: steps, metrics, what is not kept, and what a pause and a replay leave behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import torch
from pairs import NEVER, SCRIPTS, each_steps
from sampling import full

from trainings import Case, differences, metrics, results

EVERY = each_steps(1)
CHECKED = dict(callbacks=["early", "checkpoint"], trainer={"val_check_interval": 5}, patience=9)


def test_a_pause_at_the_last_batch_of_an_epoch_leaves_with_a_state_that_goes_on_without_a_warning(launcher, folder):
    case = Case(launcher, folder, NEVER, callbacks=["early"])
    whole, paused = case.launch(), case.launch(PAUSE=16, WARN=1)
    assert (paused.code, (paused.exit() or {})["outcome"]) == (0, "paused"), paused.output
    newest = paused.newest()
    assert (newest.facts["step"], newest.facts["epoch"], newest.facts["batch"], newest.facts["reasons"]) == (16, 1, 0, ["pause"])
    resumed = case.launch(newest, WARN=1)
    assert differences(whole, resumed) == []
    for text in ("weights_only", "was called but then you passed", "not resumable", "ended before the epoch ended"):
        assert text not in paused.output + resumed.output


def test_metrics_stand_at_the_step_that_they_belong_to_and_progress_counts_each_step(launcher, folder):
    launch = Case(launcher, folder, NEVER, callbacks=["early"], odd_params=True).launch()
    found = metrics(launch)
    assert sorted(found["train_loss_step"]) == list(range(1, 49))
    for name in ("val_loss", "train_loss_epoch", "loss_sum", "epoch_mean"):
        assert sorted(found[name]) == [16, 32, 48], name
    started = launch.events("started")[0]
    assert (started["totalSteps"], started["stepsPerEpoch"]) == (48, 16)
    assert started["monitor"] == {"metric": "val_loss", "mode": "min"}
    assert started["params"]["lr"] == 0.01
    newest = launch.newest()
    assert torch.load(newest.path / "state.pt", weights_only=True)["hyper_parameters"] == {"lr": 0.01}
    (notice,) = [one for one in launch.events("notice") if one["code"] == "hyperParameters"]
    assert "`path`, `color`, `options`" in notice["text"]
    assert newest.grade == "complete", newest.missing


@full
def test_several_optimizers_count_each_of_their_steps_in_the_total(launcher, folder):
    launch = Case(launcher, folder, NEVER, manual=True).launch()
    assert launch.events("plan")[-1]["totalSteps"] == 96
    assert launch.newest().facts["step"] == 96


def test_what_cannot_be_kept_is_named_and_the_resume_works(launcher, folder):
    case = Case(launcher, folder, EVERY, validation=False, data="counting stream", callbacks=["opaque"])
    broken = case.launch(KILL=21)
    newest = broken.newest()
    assert newest.grade == "partial"
    assert "the training data (`passes` of its data set changes while it is read, and starts again" in newest.missing
    assert "`thing` of the callback" in newest.missing
    resumed = case.launch(newest)
    assert resumed.newest().facts["step"] == 48, resumed.output
    assert f"the resume from step {newest.facts['step']} went without the training data" in resumed.newest().missing


def test_a_stream_that_reads_the_same_again_goes_on_from_that_batch(launcher, folder):
    case = Case(launcher, folder, EVERY, validation=False, data="stream")
    whole = case.launch()
    broken = case.launch(KILL=21)
    assert (broken.newest().grade, broken.newest().missing) == ("complete", "")
    resumed = case.launch(broken.newest())
    assert differences(whole, resumed) == []


def test_a_replay_comes_to_the_recorded_state_and_touches_no_file_of_the_user(launcher, folder):
    case = Case(launcher, folder, each_steps(4), **CHECKED)
    recorded = case.launch(KILL=47)
    start, target = (one for one in recorded.checkpoints()[-2:])
    step, epoch = target.facts["step"], target.facts["epoch"] if target.facts["batch"] == 0 else None
    replay = case.launch(start, {"purpose": "verify", "untilStep": step, "untilEpoch": epoch, "checkpoint": NEVER})
    assert (replay.exit() or {})["outcome"] == "completed", replay.output
    (reached,) = replay.checkpoints()
    assert (reached.facts["step"], reached.facts["sum"]) == (step, target.facts["sum"])
    assert not list((replay.folder / "checkpoints").glob("*")) if (replay.folder / "checkpoints").exists() else True


@full
def test_a_replay_to_the_end_of_the_fit_comes_to_its_last_state(launcher, folder):
    case = Case(launcher, folder, each_steps(20), **CHECKED)
    whole = case.launch()
    start, target = whole.checkpoints()[-2], whole.checkpoints()[-1]
    launch = {"purpose": "verify", "untilStep": 48, "untilEpoch": 3, "checkpoint": NEVER}
    replay = case.launch(start, launch)
    (reached,) = replay.checkpoints()
    assert (reached.facts["step"], reached.facts["sum"]) == (48, target.facts["sum"])


@full
def test_the_best_model_is_still_known_after_a_resume_in_another_folder(launcher, folder):
    case = Case(launcher, folder, EVERY, callbacks=["checkpoint"], known_losses=True)
    whole, _, resumed = case.killed(37)
    assert results(resumed)[0]["best"] == results(whole)[0]["best"]


def test_a_fit_whose_processes_cannot_be_recorded_trains_and_says_so(launcher, folder):
    case = Case(launcher, folder, NEVER, trainer={"strategy": "ddp_fork", "devices": 1}, epochs=1, validation=False)
    launch = case.launch()
    assert (launch.code, "processes out of this one" in launch.output) == (0, True), launch.output
    assert not (launch.folder / "events.ndjson").exists() and launch.checkpoints() == []


def test_a_run_by_hand_ends_as_completed(launcher, folder):
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    script = str(SCRIPTS.parent / "lightning" / "scripts" / "fits.py")
    env = {"CASE": json.dumps(dict(epochs=1))}
    assert launcher.run(script=script, folder=str(folder), words=[], output=str(folder / "output.log"), env=env) == 0
    (session,) = Path(folder, ".git", "trainstash", "sessions").iterdir()
    assert json.loads((session / "exit.json").read_text())["outcome"] == "completed"
    assert len(list((session / "inbox").iterdir())) >= 1
