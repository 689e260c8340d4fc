"""Two processes under torchrun: what one of them is asked, both do, and each has its own numbers back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional

import pytest
from pairs import HERE, PACKAGE, Checkpoint, Launch, each_steps
from sampling import full
from trials import SCRIPTS, differences

pytestmark = full
_PATIENCE = 300


def launch(folder: Path, name: str, resume: Optional[Checkpoint] = None, **env: str) -> Launch:
    session = folder / name
    (session / "inbox").mkdir(parents=True)
    record: Dict[str, Any] = {"session": name, "run": "run", "params": {}, "seed": 0, "purpose": "train", "checkpoint": each_steps(3), "monitor": None}
    record["resume"] = resume and {"directory": str(resume.path), "checkpoint": resume.facts["id"], "step": resume.facts["step"]}
    (session / "launch.json").write_text(json.dumps(record))
    all_env = {
        **os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{HERE}", "TRAINSTASH_SESSION": str(session), "OUT": str(folder / f"out-{name}"),
        "HOW": json.dumps({"data": "noisy", "callbacks": ["tally"], "args": {"eval_strategy": "epoch", "num_train_epochs": 2}}),
        "RESUMED": "1" if resume else "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **env,
    }  # fmt: skip
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(SCRIPTS / "trainer.py")]
    ended = subprocess.run(words, cwd=session, env=all_env, capture_output=True, text=True, timeout=_PATIENCE)
    (session / "output.log").write_text(ended.stdout + ended.stderr)
    return Launch(session, ended.returncode << 8 if ended.returncode >= 0 else -ended.returncode)


@pytest.mark.parametrize("end", ["KILL", "PAUSE"])
def test_both_go_on_from_the_same_step(tmp_path: Path, end: str) -> None:
    whole = launch(tmp_path, "whole")
    assert whole.code == 0, whole.output
    first = launch(tmp_path, "first", **{end: "11"})
    assert first.checkpoints(), first.output
    newest = first.newest()
    assert (newest.grade, newest.missing) == ("complete", "")
    resumed = launch(tmp_path, "second", newest)
    assert resumed.code == 0, resumed.output
    assert differences(whole, resumed) == []
