"""Trainings with Lightning, run to their end, killed and resumed, and compared in everything that two equal trainings have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from pairs import Checkpoint, Launch, Launcher, Training
from trainstash import ptread

HERE = Path(__file__).parent
#: Parts of a checkpoint that are no state, or depend on the folder of the launch.
_NO_STATE = (".trainstash.ranks[0].checkpoints", ".trainstash.ranks[0].attributes.callback 2 Queue", ".callbacks.ModelCheckpoint", ".pytorch-lightning_version", ".trainstash.lost")


class Case:
    """One script with its options."""

    def __init__(self, launcher: Launcher, folder: Path, policy: Mapping[str, Any], **options: Any) -> None:
        self._training = Training(launcher, folder, str(HERE / "scripts" / "fits.py"), policy, CASE=json.dumps(options))

    def launch(self, resume: Optional[Checkpoint] = None, launch: Optional[Mapping[str, Any]] = None, **env: Any) -> Launch:
        return self._training.launch(resume, launch, **env)

    def killed(self, *kills: Any) -> Tuple[Launch, Launch, Launch]:
        """Runs it to its end; kills it, several times if asked, and resumes it."""
        whole = self.launch()
        assert whole.code == 0, whole.output
        newest: Optional[Checkpoint] = None
        for kill in kills:
            broken = self.launch(newest, KILL=kill)
            assert broken.was_killed, broken.output
            newest = broken.newest()
        resumed = self.launch(newest)
        assert resumed.code == 0, resumed.output
        return whole, broken, resumed


def results(launch: Launch) -> List[Dict[str, Any]]:
    """Reads what the script printed at the end of each fit."""
    return [json.loads(line[len("RESULT ") :]) for line in launch.output.splitlines() if line.startswith("RESULT ")]


def differences(whole: Launch, resumed: Launch) -> List[str]:
    """Lists what is not the same to the bit: the last state, each step that was noted, and each fit's result."""
    x, y = _state(whole.newest()), _state(resumed.newest())
    found = [key for key in {**x, **y} if key not in x or key not in y or not _same(x[key], y[key])]
    first, second = _notes(whole), _notes(resumed)
    found += [f"{key}: {first.get(key)} / {text}" for key, text in second.items() if first.get(key) != text]
    for a, b in zip(results(whole), results(resumed)):
        found += [f"fit {a['fit']}, {key}: {a[key]} / {b[key]}" for key in a if a[key] != b[key]]
    if len(results(whole)) != len(results(resumed)):
        found.append("the number of fits")
    return found


def metrics(launch: Launch) -> Dict[str, Dict[int, float]]:
    """Reads the recorded metrics, by name and step."""
    found: Dict[str, Dict[int, float]] = {}
    for event in launch.events("metrics"):
        for name, value in event["values"].items():
            found.setdefault(name, {})[event["step"]] = value
    return found


def _notes(launch: Launch) -> Dict[str, str]:
    path = launch.folder / "steps.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if " " in line}


def _state(checkpoint: Checkpoint) -> Dict[str, Any]:
    flat = dict(_flat(ptread.read(str(checkpoint.path / "state.pt")), ""))
    return {key: value for key, value in flat.items() if not key.startswith(_NO_STATE)}


def _flat(value: Any, at: str) -> Any:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{at}.{key}")
    elif isinstance(value, (list, tuple)):
        yield f"{at}#", len(value)
        for i, item in enumerate(value):
            yield from _flat(item, f"{at}[{i}]")
    else:
        yield at, value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bool(torch.equal(a.nan_to_num(), b.nan_to_num()))
    return type(a) is type(b) and (bool(a == b) or a != a)
