"""One trial: an undisturbed training, the same with a signal, and what a resume makes of that."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from pairs import PACKAGE

from . import blows

_HERE = Path(__file__).parent
_LIMIT_SECONDS = 180
#: What the runner tells torchrun: it dies of other signals, and its ranks are left alone.
TORCHRUN_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2"

SIGNALS = ("SIGTERM", "SIGTERM", "SIGUSR2", "SIGUSR1", "SIGHUP")
MOMENTS = ("init", "step", "validation", "save", "twice")
#: Workers of each loader, how they are started, and whether they live longer than an epoch.
WORKERS = ((0, "", False), (2, "fork", False), (2, "fork", True), (2, "spawn", True), (2, "forkserver", True), (2, "spawn", False), (2, "forkserver", False))


class Choices(NamedTuple):
    framework: str
    ranks: int
    workers: Tuple[int, str, bool]
    signal: str
    #: process, group (all processes), or torchrun.
    target: str
    moment: str
    #: The rank that is signalled, or that sends.
    rank: int
    #: The step, or the batch of a validation.
    at: int
    delay: float

    def __str__(self) -> str:
        count, method, persistent = self.workers
        each = f"{count} workers ({method}{', persistent' if persistent else ''})" if count else "no workers"
        whom = f"rank {self.rank}" if self.target == "process" else self.target
        where = "" if self.moment in ("init", "save") else f" {self.at}"
        return f"{self.framework}, {self.ranks} ranks, {each}: {self.signal} to {whom}, {self.moment}{where}"


def draw(dice: random.Random) -> Choices:
    """Draws a trial."""
    framework = dice.choice(["plain", "torch", "torch", "torch", "torch"])
    ranks = dice.choice([1, 1, 2, 2, 3]) if framework == "torch" else 1
    workers = dice.choice(WORKERS) if framework == "torch" else WORKERS[0]
    target = dice.choice(["process", "group", "torchrun"] if ranks > 1 else ["process", "group"])
    moment = dice.choice(MOMENTS)
    # Rank 0 alone writes.
    rank = 0 if moment == "save" else dice.randrange(ranks)
    at = dice.randrange(9) if moment == "validation" else dice.randint(1, 21)
    delay = dice.choice([0.0, dice.uniform(0.0, 0.05)])
    return Choices(framework, ranks, workers, dice.choice(SIGNALS), target, moment, rank, at, delay)


class Outcome(NamedTuple):
    #: Steps that were done and that no checkpoint has.
    lost: int
    #: What else was not as it is to be; empty: nothing.
    problem: str

    def is_good(self) -> bool:
        return self.lost == 0 and not self.problem


class Trials:
    """The folder of all trials. Undisturbed trainings are kept: many trials have the same."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._folder = Path(tempfile.mkdtemp(prefix="trainstash-signalled-"))
        self._count = 0
        self._whole: Dict[Tuple[str, int, int], str] = {}

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, choices: Choices) -> Outcome:
        key = (choices.framework, choices.ranks, choices.workers[0])
        if key not in self._whole:
            path, output = self._launch(choices, None, None)
            if not (path / "final").exists():
                return Outcome(0, f"undisturbed: {_tail(output)}")
            self._whole[key] = (path / "final").read_text()
        path, output = self._launch(choices, choices, None)
        return self._judge(choices, path, output, self._whole[key])

    def _judge(self, choices: Choices, path: Path, output: str, whole: str) -> Outcome:
        log = path / "steps.log"
        steps = [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else [0]
        newest = _newest(path)
        lost = max(steps) - (newest[1] if newest else 0)
        record: Any = json.loads((path / "exit.json").read_text()) if (path / "exit.json").exists() else {}
        said = (record.get("outcome"), record.get("reason"))
        if (path / "final").exists():
            # The signal came after the last step.
            return Outcome(lost, "" if (path / "final").read_text() == whole else "the signalled training ends with other bits")
        # A signal may find another rank before its `init`: then nothing has begun.
        is_before = choices.moment == "init" and max(steps) == 0
        if lost or (said != ("paused", f"after {choices.signal}") and not is_before):
            return Outcome(lost, f"{said} after {max(steps)} steps: {_tail(output)}")
        again, output = self._launch(choices, None, newest)
        if not (again / "final").exists():
            return Outcome(lost, f"resumed: {_tail(output)}")
        if (again / "final").read_text() != whole:
            return Outcome(lost, "the resumed training ends with other bits")
        return Outcome(lost, "")

    def _launch(self, choices: Choices, blow: Optional[Choices], resume: Optional[Tuple[Path, int, str]]) -> Tuple[Path, str]:
        self._count += 1
        path = self._folder / f"session{self._count}"
        (path / "inbox").mkdir(parents=True)
        each = {"everySeconds": 0, "everySteps": None, "everyEpochs": None, "onBest": False}
        if choices.moment == "save":
            each["everySteps"] = 5
        record = {
            "session": path.name, "run": "run", "params": {}, "seed": 0, "purpose": "train", "untilStep": None, "untilEpoch": None,
            "monitor": None, "checkpoint": each, "command": {"dir": str(path / "files")},
            "resume": resume and {"directory": str(resume[0]), "checkpoint": resume[2], "step": resume[1]},
        }  # fmt: skip
        (path / "launch.json").write_text(json.dumps(record))
        count, method, persistent = choices.workers
        env = {name: value for name, value in os.environ.items() if not name.startswith("TRAINSTASH")}
        env.update(
            TRAINSTASH_SESSION=str(path), TRIAL=str(path), OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", PET_SIGNALS_TO_HANDLE=TORCHRUN_SIGNALS,
            PYTHONPATH=f"{PACKAGE}{os.pathsep}{_HERE.parent}", FRAMEWORK=choices.framework, WORKERS=str(count), METHOD=method,
            PERSISTENT=str(int(persistent)),
        )  # fmt: skip
        env[blows.MARK] = f"{os.getpid()}-{self._count}"
        if blow is not None:
            plan = {"signal": blow.signal, "target": blow.target, "moment": blow.moment, "rank": blow.rank, "at": blow.at, "delay": blow.delay}
            env[blows.VARIABLE] = json.dumps(plan)
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(choices.ranks)] if choices.ranks > 1 else []
        with open(path / "output.log", "w") as output:
            child = subprocess.Popen(
                [self._python, *words, str(_HERE / "train.py")], env=env, stdout=output, stderr=output, cwd=path, start_new_session=True, preexec_fn=_hears_all
            )
            try:
                child.wait(timeout=_LIMIT_SECONDS)
                _wait_for(blows.processes(env[blows.MARK]))
            except subprocess.TimeoutExpired:
                output.write("\nit did not end\n")
            finally:
                for pid in blows.processes(env[blows.MARK]):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                child.wait()
        return path, (path / "output.log").read_text()


def _hears_all() -> None:
    # Under `nohup` it would ignore SIGHUP, and the package leaves such a signal alone.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _wait_for(pids: List[int]) -> None:
    """Waits for ranks whose torchrun has ended before them."""
    import time

    until = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        if time.monotonic() > until:
            raise subprocess.TimeoutExpired("ranks", 60)
        time.sleep(0.05)


def _newest(path: Path) -> Optional[Tuple[Path, int, str]]:
    names = sorted(name for name in os.listdir(path / "inbox") if not name.startswith("."))
    if not names:
        return None
    folder = path / "inbox" / names[-1]
    facts = json.loads((folder / "checkpoint.json").read_text())
    return folder, int(facts["step"]), str(facts["id"])


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-25:])
