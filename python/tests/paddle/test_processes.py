"""``paddle.distributed.launch`` with two processes that average their gradients: one of them records, both go on to the bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, Optional

from pairs import PACKAGE, Checkpoint, Launch, each_steps
from sampling import full

HERE = Path(__file__).parent
#: Each launch imports Paddle thrice.
pytestmark = full


class Launched(Launch):
    @property
    def finals(self) -> Mapping[str, str]:
        return {path.name: path.read_text() for path in sorted(self.folder.glob("final.*"))}


def launch(folder: Path, resume: Optional[Checkpoint] = None, **env: Any) -> Launched:
    (folder / "inbox").mkdir(parents=True)
    record = {
        "session": folder.name, "run": "run", "params": {}, "seed": 0, "purpose": "train", "untilStep": None, "untilEpoch": None,
        "monitor": None, "checkpoint": each_steps(3), "command": {"dir": str(folder / "files")},
        "resume": resume and {"directory": str(resume.path), "checkpoint": resume.facts["id"], "step": resume.facts["step"]},
    }  # fmt: skip
    (folder / "launch.json").write_text(json.dumps(record))
    words = [sys.executable, "-W", "ignore", "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--backend", "gloo"]
    own = {name: str(value) for name, value in env.items()}
    variables = {**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1", "TRAINSTASH_SESSION": str(folder), **own}
    with open(folder / "output.log", "w") as output:
        process = subprocess.Popen(
            [*words, str(HERE / "scripts" / "processes.py")], cwd=folder, env=variables, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status = process.wait(timeout=150)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return Launched(folder, status << 8 if status >= 0 else -status)


def test_both_processes_go_on_to_the_bit_when_one_was_killed(tmp_path: Path) -> None:
    whole = launch(tmp_path / "whole")
    assert len(whole.finals) == 2, whole.output
    assert [one.facts["step"] for one in whole.checkpoints()][-1] == 20
    for rank in (0, 1):
        killed = launch(tmp_path / f"killed{rank}", KILL=8, KILL_RANK=rank)
        newest = killed.newest()
        assert newest.facts["step"] == 6 and newest.grade == "complete", newest.missing
        assert launch(tmp_path / f"resumed{rank}", newest).finals == whole.finals
    paused = launch(tmp_path / "paused", PAUSE=8)
    exit = paused.exit()
    assert exit is not None and exit["outcome"] == "paused"
    assert launch(tmp_path / "after", paused.newest()).finals == whole.finals
