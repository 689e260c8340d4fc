"""A training to its end, beside the same training killed and resumed: the state compared key by key, and every step's log."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from trainstash import arrayfile, ptread

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
#: The folder that holds the package, for the environment of another process.
PACKAGE = HERE.parent / "src"
#: No checkpoints but those that a script takes itself, and the last.
NEVER = {"everySeconds": 0, "everySteps": None, "everyEpochs": None, "onBest": False}
EACH_EPOCH = {**NEVER, "everyEpochs": 1}


TORCH = ("numpy", "torch", "torch.utils.data")


def each_steps(n: int) -> Dict[str, Any]:
    return {**NEVER, "everySteps": n}


class Launcher:
    """The process that forks for each launch.

    Args:
        preload: Modules that it imports once.
    """

    def __init__(self, preload: Sequence[str] = TORCH) -> None:
        env = {**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{HERE}", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        for name in ("TRAINSTASH_SESSION", "TRAINSTASH_OWNER"):
            env.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / "launcher.py"), *preload], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True
        )
        assert self._answer() == "ready"

    def run(self, **request: Any) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._answer())["status"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Launch:
    """A launch that has ended, with what it left behind."""

    def __init__(self, folder: Path, status: int) -> None:
        self.folder = folder
        self.status = status

    @property
    def output(self) -> str:
        return (self.folder / "output.log").read_text()

    @property
    def was_killed(self) -> bool:
        return os.WIFSIGNALED(self.status)

    @property
    def code(self) -> int:
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else -1

    def events(self, kind: str) -> List[Dict[str, Any]]:
        lines = (self.folder / "events.ndjson").read_text().splitlines()
        return [event for event in map(json.loads, filter(None, lines)) if event["type"] == kind]

    def exit(self) -> Optional[Dict[str, Any]]:
        path = self.folder / "exit.json"
        return json.loads(path.read_text()) if path.exists() else None

    def log(self) -> Dict[int, str]:
        """Reads what the script noted after each step, the newest note of each."""
        path = self.folder / "steps.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return {int(line.split(" ", 1)[0]): line.split(" ", 1)[1] for line in lines}

    def checkpoints(self) -> List[Checkpoint]:
        return [Checkpoint(self.folder / "inbox" / name) for name in sorted(os.listdir(self.folder / "inbox")) if not name.startswith(".")]

    def newest(self) -> Checkpoint:
        return self.checkpoints()[-1]


class Checkpoint:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: Dict[str, Any] = json.loads((path / "checkpoint.json").read_text())

    @property
    def grade(self) -> str:
        return str(self.facts["grade"])

    @property
    def missing(self) -> str:
        return "; ".join(self.facts["missing"])

    def state(self) -> Dict[str, Any]:
        arrays = self.path / "state.safetensors"
        return dict(_flat(arrayfile.read(str(arrays)) if arrays.exists() else ptread.read(str(self.path / "state.pt"))))


class Training:
    """One script in a folder, launched as often as a test wants."""

    def __init__(self, launcher: Launcher, folder: Path, script: str, policy: Mapping[str, Any] = NEVER, **env: Any) -> None:
        self._launcher = launcher
        self._folder = folder
        self._script = script
        self._policy = dict(policy)
        self._env = {name: str(value) for name, value in env.items()}

    def launch(self, resume: Optional[Checkpoint] = None, launch: Optional[Mapping[str, Any]] = None, **env: Any) -> Launch:
        name = "".join(random.choices(string.ascii_lowercase, k=12))
        path = self._folder / name
        (path / "inbox").mkdir(parents=True)
        record = {
            "session": name, "run": "run", "params": {}, "seed": 0, "purpose": "train", "untilStep": None, "untilEpoch": None,
            "monitor": None, "checkpoint": self._policy, "command": {"dir": str(path / "files")},
            "resume": resume and {"directory": str(resume.path), "checkpoint": resume.facts["id"], "step": resume.facts["step"]},
            **(launch or {}),
        }  # fmt: skip
        (path / "launch.json").write_text(json.dumps(record))
        own = {name: str(value) for name, value in env.items()}
        status = self._launcher.run(
            script=str(SCRIPTS / f"{self._script}.py" if os.sep not in self._script else self._script), folder=str(path), words=[], output=str(path / "output.log"),
            env={"TRAINSTASH_SESSION": str(path), "RESUMED": "1" if resume else "", **self._env, **own},
        )  # fmt: skip
        return Launch(path, status)

    def pair(self, kill: Any, **launch: Any) -> Tuple[Launch, Launch, Launch]:
        """Launches three times: to the end, once for all kills; killed at that step; and resumed from the newest checkpoint."""
        key = json.dumps([self._script, self._policy, self._env, launch], sort_keys=True)
        whole = _whole.get(key)
        if whole is None:
            whole = _whole[key] = self.launch(**launch)
        assert whole.code == 0, whole.output
        killed = self.launch(KILL=kill, **launch)
        assert killed.was_killed, killed.output
        resumed = self.launch(resume=killed.newest(), **launch)
        assert resumed.code == 0, resumed.output
        return whole, killed, resumed


_whole: Dict[str, Launch] = {}


def differences(a: Launch, b: Launch) -> List[str]:
    """Keys of the last state that are not the same to the bit, and steps whose logs are not the same."""
    x, y = a.newest().state(), b.newest().state()
    other = [key for key in {**x, **y} if key not in x or key not in y or not _is_same(x[key], y[key])]
    first, second = a.log(), b.log()
    return [*other, *(f"step {step}: {first.get(step)} / {text}" for step, text in second.items() if first.get(step) != text)]


def _flat(value: Any, at: str = "") -> Any:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{at}.{key}")
    elif isinstance(value, (list, tuple)):
        yield f"{at}#", len(value)
        for i, item in enumerate(value):
            yield from _flat(item, f"{at}[{i}]")
    else:
        yield at, value


def _is_same(a: Any, b: Any) -> bool:
    if hasattr(a, "shape") and hasattr(b, "shape"):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    return type(a) is type(b) and bool(a == b)
