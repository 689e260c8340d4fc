"""Trainings with ``trainstash.keras()``: run to the end, and again from one of their checkpoints; the last states compared."""

from __future__ import annotations

import json
import os
import random
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from pairs import EACH_EPOCH, PACKAGE, Checkpoint, Launch
from trainstash import keras_arrays

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Server:
    """The process of one backend that forks for each launch."""

    def __init__(self, backend: str) -> None:
        env = {**os.environ, **_QUIET, "KERAS_BACKEND": backend, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{HERE}"}
        for name in ("TRAINSTASH_SESSION", "TRAINSTASH_OWNER"):
            env.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / "launch_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            text=True,
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


class Training:
    """One script in a folder, launched as often as a test wants. The script's own files lie in ``folder/work``."""

    def __init__(self, server: Server, folder: Path, script: str, policy: Optional[Mapping[str, Any]] = None, **env: Any) -> None:
        self._server = server
        self._folder = folder
        self._script = script
        self._policy = dict(policy or EACH_EPOCH)
        self._env = {name: str(value) for name, value in env.items()}
        self.work = folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)

    def launch(self, resume: Optional[Checkpoint] = None, launch: Optional[Mapping[str, Any]] = None, **env: Any) -> Launch:
        name = "".join(random.choices(string.ascii_lowercase, k=12))
        path = self._folder / name
        (path / "inbox").mkdir(parents=True)
        record = {
            "session": name, "run": "run", "params": {}, "seed": 7, "purpose": "train", "untilStep": None, "untilEpoch": None,
            "monitor": None, "checkpoint": self._policy, "command": {"dir": str(path / "files")},
            "resume": resume and {"directory": str(resume.path), "checkpoint": resume.facts["id"], "step": resume.facts["step"]},
            **(launch or {}),
        }  # fmt: skip
        (path / "launch.json").write_text(json.dumps(record))
        own = {name: str(value) for name, value in env.items()}
        status = self._server.run(
            script=str(SCRIPTS / f"{self._script}.py"), folder=str(self.work), words=[], output=str(path / "output.log"),
            env={"TRAINSTASH_SESSION": str(path), "RESUMED": "1" if resume else "", **self._env, **own},
        )  # fmt: skip
        return Launch(path, status)

    def whole(self, **env: Any) -> Launch:
        ended = self.launch(**env)
        assert ended.code == 0, ended.output
        return ended

    def resumed(self, checkpoint: Checkpoint, **env: Any) -> Launch:
        ended = self.launch(resume=checkpoint, **env)
        assert ended.code == 0, ended.output
        return ended

    def clear(self) -> None:
        """Removes the files that the script wrote."""
        shutil.rmtree(self.work)
        self.work.mkdir()


def state_of(checkpoint: Checkpoint) -> Dict[str, Any]:
    """Returns everything in a checkpoint by name: arrays, and the leaves of its facts."""
    arrays, notes = keras_arrays.read(str(checkpoint.path / "state.safetensors"))
    state: Dict[str, Any] = {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in arrays.items()}
    _flatten("facts", json.loads(notes["trainstash"]), state)
    return state


def differences(a: Checkpoint, b: Checkpoint) -> List[str]:
    """Names of what is not the same to the bit."""
    x, y = state_of(a), state_of(b)
    return [name for name in {**x, **y} if x.get(name) != y.get(name)]


def at(launch: Launch, step: int) -> Checkpoint:
    """Returns the first checkpoint of a launch at a step."""
    return next(one for one in launch.checkpoints() if one.facts["step"] == step)


def _flatten(at: str, value: Any, into: Dict[str, Any]) -> None:
    if isinstance(value, dict) or isinstance(value, list) and value and isinstance(value[0], dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _flatten(f"{at}.{key}", item, into)
    else:
        into[at] = json.dumps(value)
