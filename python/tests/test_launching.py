"""The way from a session folder to what is restored."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
import trainstash
from trainstash import ResumeError, ptfile
from trainstash.staging import Staging

pytestmark = pytest.mark.oldest


def restored(folder: Path) -> Path:
    """Writes a session as the daemon leaves it, with a checkpoint to resume from, one byte of which is wrong."""
    state: Dict[str, Any] = {
        "model": torch.nn.Linear(100, 100).state_dict(),
        "trainstash": {
            "format": 1, "step": 3, "epoch": 0, "seed": 1, "vars": {}, "best": None, "loaders": {}, "active": [],
            "slots": {}, "params": {}, "rng": [],
        },
    }  # fmt: skip
    path = folder / "restore" / "state.pt"
    for name in ("restore", "inbox", "taking"):
        (folder / name).mkdir()
    ptfile.write(Staging().copy(state).state, str(path))
    data = bytearray(path.read_bytes())
    data[20_000] ^= 1
    path.write_bytes(data)
    return path


def test_a_scheduler_under_the_name_of_an_option_is_refused() -> None:
    model = torch.nn.Linear(2, 2)
    schedule: Any = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(model.parameters(), lr=0.1), 3)
    with pytest.raises(ValueError, match=r"give it another name: init\(scheduler="):
        trainstash.init(model=model, schedule=schedule)


def launch(folder: Path, verified: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    resume = {"directory": "restore", "checkpoint": "c", "step": 3, "verified": verified}
    (folder / "launch.json").write_text(json.dumps({"session": "s", "resume": resume, "params": {}, "seed": 1}))
    monkeypatch.setenv("TRAINSTASH_SESSION", str(folder))
    run = trainstash.init(model=torch.nn.Linear(100, 100))
    run._engine.over = True
    return run


def stamp(path: Path) -> Dict[str, Any]:
    stat = os.stat(path)
    return {"ino": str(stat.st_ino), "bytes": stat.st_size, "mtimeNs": str(stat.st_mtime_ns)}


def test_a_file_that_the_daemon_has_just_verified_is_not_summed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = restored(tmp_path)
    assert launch(tmp_path, stamp(path), monkeypatch).steps == 3


@pytest.mark.parametrize("change", [{"ino": "1"}, {"bytes": 1}, {"mtimeNs": "1"}, None])
def test_any_other_file_is_summed(change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = restored(tmp_path)
    verified = None if change is None else {**stamp(path), **change}
    with pytest.raises(ResumeError, match="it is damaged"):
        launch(tmp_path, verified, monkeypatch)
