"""A rollback of a training with Transformers: other params than its checkpoint has, and batches that are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from pairs import Launcher, each_steps
from trials import Trial, final


def test_a_rollback_leaves_out_batches_and_takes_the_new_rate(launcher: Launcher, tmp_path: Path) -> None:
    trial = Trial(launcher, tmp_path, {}, each_steps(4))
    whole, newest = trial.whole(), trial.killed(18).newest()
    assert newest.facts["step"] == 16
    (ended,) = final(whole)
    rate = ended["optimizer"]["param_groups"][0]["initial_lr"]
    resume: Dict[str, Any] = {"directory": str(newest.path), "checkpoint": newest.facts["id"], "step": 16, "params": {"learning_rate": rate}}
    launch = {"resume": resume, "params": {"learning_rate": rate / 2}, "skip": {"count": 2, "unit": "steps"}}
    back = trial.resumed(newest, launch=launch)
    (found,) = final(back)
    assert found["step"] == ended["step"] - 2
    assert found["optimizer"]["param_groups"][0]["initial_lr"] == rate / 2
    told = [one["code"] for one in back.events("notice") if one["code"] in ("params", "notLeftOut", "notReproduced")]
    assert told == ["params"], back.events("notice")
