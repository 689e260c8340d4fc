"""Trainings with Transformers: to the end, killed and resumed, and compared."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
import torch
from pairs import Checkpoint, Launch, Launcher, Training, each_steps

SCRIPTS = Path(__file__).parent / "scripts"


class Trial:
    """One script with one set-up. Uninterrupted launches are shared by all kills of it."""

    def __init__(self, launcher: Launcher, folder: Path, how: Mapping[str, Any], policy: Optional[Mapping[str, Any]] = None, script: str = "trainer", **env: Any) -> None:
        self._training = Training(launcher, folder, str(SCRIPTS / f"{script}.py"), policy or each_steps(5), HOW=json.dumps(dict(how)), OUT=folder / "out", **env)
        self._folder = folder

    def launch(self, resume: Optional[Checkpoint] = None, **more: Any) -> Launch:
        return self._training.launch(resume=resume, **more)

    def whole(self) -> Launch:
        ended = self.launch(OUT=self._folder / "whole")
        assert ended.code == 0, ended.output
        return ended

    def killed(self, step: int) -> Launch:
        ended = self.launch(KILL=step)
        assert ended.was_killed, ended.output
        return ended

    def resumed(self, checkpoint: Checkpoint, **more: Any) -> Launch:
        ended = self.launch(resume=checkpoint, **more)
        assert ended.code == 0, ended.output
        return ended

    def expect_exact(self, step: int) -> Launch:
        """Expects that a training that was killed before that step and resumed is the same one, and that its checkpoints say so."""
        whole, killed = self.whole(), self.killed(step)
        resumed = self.resumed(killed.newest())
        assert differences(whole, resumed) == []
        assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
        assert (resumed.newest().grade, resumed.newest().missing) == ("complete", "")
        return resumed

    def expect_partial(self, step: int, names: str) -> Launch:
        killed = self.killed(step)
        assert killed.newest().grade != "complete"
        assert names in killed.newest().missing
        return self.resumed(killed.newest())


def final(launch: Launch) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = pickle.loads((launch.folder / "final.pickle").read_bytes())
    return found


def differences(a: Launch, b: Launch) -> List[str]:
    """Places where the last states of two launches are not the same to the bit."""
    return list(_differences(final(a), final(b), ""))


def _differences(a: Any, b: Any, at: str) -> Any:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            if key not in a or key not in b:
                yield f"{at}.{key} is in one only"
            else:
                yield from _differences(a[key], b[key], f"{at}.{key}")
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            yield f"{at}: {len(a)} and {len(b)} items"
        for i, (x, y) in enumerate(zip(a, b)):
            yield from _differences(x, y, f"{at}[{i}]")
    elif isinstance(a, torch.Tensor):
        if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a, b):
            yield at
    elif isinstance(a, np.ndarray):
        if not np.array_equal(a, b):
            yield at
    elif a != b and not (a != a and b != b):
        yield f"{at}: {a!r} and {b!r}"
