"""Two processes on the CPU, started by Lightning and by torchrun, killed and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Dict

import pytest
from pairs import NEVER, PACKAGE, SCRIPTS, each_steps
from sampling import full

from trainings import Case, differences

TWO: Dict[str, Any] = dict(trainer={"strategy": "ddp", "devices": 2}, data="noise", callbacks=["early", "counter"], patience=9)
BY_TIME = {**NEVER, "everySeconds": 0.2}


def test_two_processes_that_both_die_go_on_bit_for_bit(launcher, folder):
    whole, killed, resumed = Case(launcher, folder, each_steps(3), **TWO).killed(11)
    assert differences(whole, resumed) == []
    assert killed.newest().grade == "complete", killed.newest().missing
    assert resumed.newest().grade == "complete", resumed.newest().missing
    assert resumed.newest().facts["environment"]["world"] == "2"


@full
def test_checkpoints_by_time_hold_no_process_up_and_a_pause_ends_both(launcher, folder):
    case = Case(launcher, folder, BY_TIME, **{**TWO, "epochs": 8})
    whole, paused = case.launch(), case.launch(PAUSE=20)
    assert whole.newest().facts["step"] == 64, whole.output
    assert (paused.code, (paused.exit() or {}).get("outcome")) == (0, "paused"), paused.output
    assert differences(whole, case.launch(paused.newest())) == []


@full
@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_process_dies_the_newest_checkpoint_is_whole(launcher, folder, rank):
    case = Case(launcher, folder, each_steps(3), **TWO)
    whole, broken = case.launch(), case.launch(KILL=11, KILL_RANK=rank)
    assert broken.code != 0
    assert differences(whole, case.launch(broken.newest())) == []


@full
def test_torchrun_starts_processes_that_go_on_bit_for_bit(folder):
    whole, killed = _torchrun(folder / "whole"), _torchrun(folder / "killed", KILL="11")
    assert whole["code"] == 0, whole["output"]
    assert killed["code"] != 0
    resumed = _torchrun(folder / "resumed", resume=killed["newest"])
    assert resumed["code"] == 0, resumed["output"]
    assert _state_sum(whole) == _state_sum(resumed)
    assert resumed["facts"]["grade"] == "complete", resumed["facts"]["missing"]


def _torchrun(folder: Any, resume: Any = None, **env: str) -> Dict[str, Any]:
    (folder / "inbox").mkdir(parents=True)
    facts = json.loads((resume / "checkpoint.json").read_text()) if resume else {}
    launch = {"session": "s", "seed": 0, "checkpoint": each_steps(3), "purpose": "train", "stated": ["every"]}
    if resume:
        launch["resume"] = {"directory": str(resume), "checkpoint": facts["id"], "step": facts["step"]}
    (folder / "launch.json").write_text(json.dumps(launch))
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*words, str(SCRIPTS.parent / "lightning" / "scripts" / "fits.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "TRAINSTASH_SESSION": str(folder), "CASE": json.dumps(TWO), "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    newest = sorted((folder / "inbox").iterdir())[-1]
    return {"code": done.returncode, "output": done.stdout, "newest": newest, "facts": json.loads((newest / "checkpoint.json").read_text())}


def _state_sum(ended: Dict[str, Any]) -> str:
    return str(ended["facts"]["sum"])
