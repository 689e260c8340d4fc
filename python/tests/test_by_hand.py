"""A script that is started by hand: how often, what is kept, how it ends; and what a user's objects can do to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from pairs import SCRIPTS, Launcher
from trainstash.policy import DEFAULT, FIXED_SECONDS, Policy, keep_of, policy_of


def run(launcher: Launcher, folder: Path, **env: Any) -> Tuple[Path, str]:
    """Launches the script once, in a folder without git. Returns its session folder and its output."""
    (folder / ".trainstash" / "sessions").mkdir(parents=True, exist_ok=True)
    before = set(os.listdir(folder / ".trainstash" / "sessions"))
    output = folder / f"output-{len(before)}.log"
    words = {"TRAINSTASH_SESSION": "", **{name: str(value) for name, value in env.items()}}
    status = launcher.run(script=str(SCRIPTS / "by_hand.py"), folder=str(folder), words=[], output=str(output), env=words)
    assert status == 0, output.read_text()
    (session,) = set(os.listdir(folder / ".trainstash" / "sessions")) - before
    return folder / ".trainstash" / "sessions" / session, output.read_text()


def boxes(session: Path) -> List[Dict[str, Any]]:
    names = sorted(name for name in os.listdir(session / "inbox") if not name.startswith("."))
    return [json.loads((session / "inbox" / name / "checkpoint.json").read_text()) for name in names]


def read(session: Path, name: str) -> Dict[str, Any]:
    return dict(json.loads((session / name).read_text()))


def plans(session: Path) -> List[Tuple[int, int]]:
    events = map(json.loads, (session / "events.ndjson").read_text().splitlines())
    return [(event["totalSteps"], event["stepsPerEpoch"]) for event in events if event["type"] == "plan"]


def test_one_that_ends_cleanly_is_completed_and_its_first_epoch_is_kept(launcher: Launcher, tmp_path: Path) -> None:
    session, _ = run(launcher, tmp_path, HOW="plain")
    assert read(session, "exit.json")["outcome"] == "completed"
    assert {key: read(session, "launch.json")["checkpoint"][key] for key in DEFAULT} == dict(DEFAULT)
    first, *_, last = boxes(session)
    assert (first["step"], first["epoch"], first["batch"], first["reasons"]) == (8, 1, 0, ["epoch"])
    assert (last["step"], last["epoch"]) == (24, 3) and "end" in last["reasons"]


def test_every_and_keep_are_what_init_says(launcher: Launcher, tmp_path: Path) -> None:
    session, _ = run(launcher, tmp_path, HOW="plain", INIT='{"every": "5 steps", "keep": {"last": 9, "best": "max:acc"}}')
    launch = read(session, "launch.json")
    assert (launch["checkpoint"]["everySteps"], launch["keep"], launch["monitor"]) == (5, {"last": 9, "every": None}, {"metric": "acc", "mode": "max"})
    steps = [one["step"] for one in boxes(session)]
    # One that is due while another is being written is taken a little later, the last at the end.
    assert len(steps) >= 2 and steps[0] >= 5 and steps[-1] == 24
    fives = [step // 5 for step in steps[:-1]]
    assert fives == sorted(set(fives))


def test_nothing_that_a_user_hands_over_ends_a_training(launcher: Launcher, tmp_path: Path) -> None:
    session, output = run(launcher, tmp_path, HOW="throws")
    assert "FINAL 24" in output
    for said in ("the metric two is no number", "the metric throws is no number", "unreadable is not kept", 'run.vars["bad"] is not kept', "bad is not kept"):
        assert output.count(said) == 1, said
    newest = boxes(session)[-1]
    assert newest["grade"] == "partial"
    lost = {(one["kind"], one["name"]) for one in newest["ingredients"] if one["state"] == "lost"}
    assert {("other", "unreadable"), ("loop", "bad"), ("loop", 'run.vars["bad"]')} <= lost


def test_the_plan_knows_accumulation_and_the_scripts_own_last_step(launcher: Launcher, tmp_path: Path) -> None:
    session, _ = run(launcher, tmp_path, HOW="accumulates")
    assert plans(session)[-1] == (6, 2)
    session, _ = run(launcher, tmp_path, HOW="max steps")
    assert plans(session)[-1][0] == 11


def test_a_loop_that_was_left_early_stays_left_and_one_with_more_epochs_goes_on(launcher: Launcher, tmp_path: Path) -> None:
    session, output = run(launcher, tmp_path, HOW="early")
    assert "FINAL 16" in output
    state = session / "inbox" / sorted(os.listdir(session / "inbox"))[-1] / "state.pt"
    _, again = run(launcher, tmp_path, HOW="early", RESUME=state)
    assert "FINAL 16" in again
    session, _ = run(launcher, tmp_path, HOW="plain")
    state = session / "inbox" / sorted(os.listdir(session / "inbox"))[-1] / "state.pt"
    _, longer = run(launcher, tmp_path, HOW="plain", EPOCHS=5, RESUME=state)
    assert "FINAL 40 5" in longer


@pytest.mark.parametrize("every", ["", "often", "5 minutes ago", "-3s", 0, True, "5m;3s"])
def test_every_that_makes_no_sense_is_refused(every: Any) -> None:
    with pytest.raises(ValueError, match="every="):
        policy_of(every)


@pytest.mark.parametrize("keep", [0, {"lats": 3}, {"last": "3"}, {"every": 0}])
def test_keep_that_makes_no_sense_is_refused(keep: Any) -> None:
    with pytest.raises(ValueError, match="keep"):
        keep_of(keep)


def test_the_share_wins_over_epochs_and_time_but_for_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    policy = Policy(DEFAULT, 0)
    now[0] += 1
    assert policy.due_at_epoch(1) == ["epoch"]
    policy.taken(10, 1.0)
    now[0] += 30
    assert policy.due_at_epoch(2) == []
    now[0] += 2 * (1.0 + FIXED_SECONDS) / 0.02
    assert policy.due_at_epoch(3) == ["epoch"]
    policy.taken(30, 20.0)
    now[0] += 400
    assert policy.due(31) == []
    now[0] += 2000
    assert policy.due(32) == ["interval"]
