"""torchrun starts failed processes again: they go on from the newest checkpoint, in the same session."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

from pairs import HERE, PACKAGE, Launch, differences, each_steps
from sampling import FULL, in_turn

SCRIPT = HERE / "scripts" / "elastic_training.py"


def torchrun(folder: Path, name: str, is_managed: bool = True, **env: Any) -> Launch:
    path = folder / name
    (path / "inbox").mkdir(parents=True, exist_ok=True)
    record = {
        "session": name, "run": "run", "params": {}, "seed": 0, "purpose": "train", "untilStep": None, "untilEpoch": None, "monitor": None,
        "checkpoint": each_steps(3), "command": {"dir": str(path / "files")}, "resume": None,
    }  # fmt: skip
    (path / "launch.json").write_text(json.dumps(record))
    own = {key: str(value) for key, value in env.items()}
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1", str(SCRIPT)]
    env = {**os.environ, **({"TRAINSTASH_SESSION": str(path)} if is_managed else {}), "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1", **own}
    with open(path / "output.log", "w") as output:
        child = subprocess.Popen([sys.executable, *words], env=env, stdout=output, stderr=output, cwd=path, start_new_session=True)
        try:
            child.wait(timeout=200)
        finally:
            # torchrun's own children outlive it when it is killed.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    return Launch(path, child.returncode << 8)


@in_turn("torchrun starts them again", 0, 2)
def test_failed_processes_go_on_from_the_newest_checkpoint_and_none_waits_for_ever(tmp_path: Path) -> None:
    whole = torchrun(tmp_path, "whole", ASK=1)
    assert whole.code == 0, whole.output
    # Asked for at step 5, and taken when both processes meet.
    asked = [one.facts for one in whole.checkpoints() if "request" in one.facts["reasons"]]
    assert [facts["step"] >= 5 for facts in asked] == [True]
    again = torchrun(tmp_path, "again", FAIL=8, ASK=1)
    assert again.code == 0, again.output
    assert "bad sample 17" in again.output
    # The one of step 6 may still have been being written when the processes ended.
    first, after = [event["step"] for event in again.events("started")]
    assert (first, after in (3, 6)) == (0, True)
    assert differences(whole, again) == []
    assert (again.newest().grade, again.newest().missing) == ("complete", "")
    # The daemon takes each event once, by its number.
    lines = (again.folder / "events.ndjson").read_text().splitlines()
    numbers = [json.loads(line)["seq"] for line in lines]
    assert numbers == sorted(set(numbers))
    [said] = [event["text"] for event in again.events("notice") if event["code"] == "restarted"]
    assert said == f"torchrun has started the processes again (restart 1); they go on from step {after}."
    # The batches of the second process are no copies of the first one's.
    assert "is another" not in again.output


@in_turn("torchrun starts them again", 1, 2)
def test_without_a_daemon_they_go_on_from_the_newest_checkpoint_of_this_torchrun_alone(tmp_path: Path) -> None:
    def begun() -> Dict[str, int]:
        """Returns the step at which each session began."""
        started = {}
        for path in (tmp_path / "alone").glob(".trainstash/sessions/*/events.ndjson"):
            started[path.parent.name] = next(event["step"] for event in map(json.loads, path.read_text().splitlines()) if event["type"] == "started")
        return started

    # It ends in its second epoch. The checkpoint at the end of the first is from this torchrun, and from no other.
    first = torchrun(tmp_path, "alone", is_managed=False, FAIL=12)
    assert first.code == 0, first.output
    before = begun()
    assert sorted(before.values()) == [0, 8], first.output
    if not FULL:
        return
    for path in (tmp_path / "alone").glob("meet-*"):
        path.unlink()
    second = torchrun(tmp_path, "alone", is_managed=False, FAIL=3)
    assert second.code == 0, second.output
    assert [step for name, step in begun().items() if name not in before] == [0, 0], second.output
