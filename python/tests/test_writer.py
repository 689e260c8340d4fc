"""Checkpoints as they are written: read back, complete only when they can be resumed, and never in a training's way."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
import torch
import trainstash
from pairs import PACKAGE
from trainstash import filling, ptfile, ptread
from trainstash.staging import Staging

pytestmark = pytest.mark.oldest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a project without git, as the folder that a script runs in."""
    (tmp_path / ".trainstash").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    return tmp_path


def checkpoints(folder: Path) -> List[Dict[str, Any]]:
    found = sorted(folder.glob(".trainstash/sessions/*/inbox/*/checkpoint.json"))
    return [json.loads(path.read_text()) for path in found]


def notices(folder: Path) -> List[Dict[str, Any]]:
    lines = [line for path in folder.glob(".trainstash/sessions/*/events.ndjson") for line in path.read_text().splitlines()]
    return [event for event in map(json.loads, filter(None, lines)) if event["type"] == "notice"]


def finished(run: Any) -> None:
    run._engine.checkpoints.join()
    run._engine.over = True


class Holding(torch.nn.Linear):
    """A layer whose parameter is on the meta device, as offloading ones are."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.far = torch.nn.Parameter(torch.empty(2, device="meta"))


def test_a_state_that_can_never_be_resumed_says_so_once_at_the_first_checkpoint(folder: Path, capsys: Any) -> None:
    run = trainstash.init(model=Holding())
    run.checkpoint()
    run._engine.steps = 1
    run.checkpoint()
    finished(run)
    said = [notice for notice in notices(folder) if notice["code"] == "cannotResume"]
    assert [notice["step"] for notice in said] == [0]
    assert "model.far (on the meta device: it has a shape and no numbers)" in said[0]["text"]
    assert "cannot be resumed" in capsys.readouterr().err
    assert [one["grade"] for one in checkpoints(folder)] == ["partial", "partial"]
    assert "model.far (on the meta device: it has a shape and no numbers)" in checkpoints(folder)[0]["missing"]


class Unreadable:
    """An object that writes what it cannot read again."""

    def state_dict(self) -> Any:
        return {"value": "text"}

    def load_state_dict(self, state: Any) -> None:
        return None


def test_what_cannot_be_read_back_is_never_complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> Any:
        raise ValueError("a dtype that nobody knows")

    run = trainstash.init(model=torch.nn.Linear(2, 2))
    monkeypatch.setattr(ptread, "decode", wrong)
    run.checkpoint()
    finished(run)
    (one,) = checkpoints(folder)
    assert one["grade"] == "partial"
    assert "the checkpoint itself (it cannot be read back: a dtype that nobody knows)" in one["missing"]
    assert [notice["code"] for notice in notices(folder)] == ["cannotResume"]


@pytest.mark.parametrize("wrong", [b"PK\3\4", b"", b"not a zip at all" * 100])
def test_the_check_finds_a_file_that_is_damaged(wrong: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(wrong)
    with pytest.raises(ValueError):
        ptread.check(str(path), [])


def test_a_byte_that_has_changed_is_found_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that a small file is read by several threads, in parts whose sums are put together.
    monkeypatch.setattr(filling, "_TASK_BYTES", 1 << 20)
    path = tmp_path / "state.pt"
    state = {"large": torch.randn(2_000_000), "small": torch.randn(3), "empty": torch.empty(0)}
    ptfile.write(Staging().copy(state).state, str(path))
    assert torch.equal(ptread.read(str(path))["large"], state["large"])
    whole = path.read_bytes()
    for at in (2_000, 4_000_000, 7_900_000):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            ptread.read(str(path))
        ptread.read(str(path), verified=True)


class Throwing(torch.nn.Linear):
    def state_dict(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("the shards are elsewhere")


class Metric:
    """A user's object that works until it is asked for its state."""

    def state_dict(self) -> Any:
        raise OSError("its file is gone")

    def load_state_dict(self, state: Any) -> None:
        return None


def test_objects_that_throw_do_not_end_a_training(folder: Path) -> None:
    model = torch.nn.Linear(2, 2)
    run = trainstash.init(model=model, metric=Metric(), other=Throwing(2, 2))
    for _ in range(3):
        run.step(loss=0.5)
    run.checkpoint()
    finished(run)
    assert ptread.read(str(next(folder.glob(".trainstash/sessions/*/inbox/*/state.pt"))))["model"].keys() == {"weight", "bias"}


def test_a_full_disk_is_a_notice_and_the_next_checkpoint_is_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainstash.init(model=torch.nn.Linear(2, 2))
    write = ptfile.write

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ptfile, "write", full)
    run.checkpoint()
    assert checkpoints(folder) == []
    assert [notice["code"] for notice in notices(folder)] == ["checkpointFailed"]
    monkeypatch.setattr(ptfile, "write", write)
    run.checkpoint()
    finished(run)
    assert len(checkpoints(folder)) == 1
    assert not list(folder.glob(".trainstash/sessions/*/inbox/.tmp-*"))


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "script.py"], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_params_alone_need_no_torch(folder: Path) -> None:
    text = """
import sys, trainstash
run = trainstash.init(params={"lr": 0.1})
for epoch in run.epochs(2):
    run.vars["best"] = [1.5, {"a": b"x"}]
    run.step(loss=0.5)
    run.checkpoint()
assert "torch" not in sys.modules
"""
    ended = script(folder, text)
    assert ended.returncode == 0, ended.stderr
    (path, *_) = sorted(folder.glob(".trainstash/sessions/*/inbox/*/state.pt"))
    resumed = f"""
import sys, trainstash
run = trainstash.init(params={{"lr": 0.1}}, resume={str(path)!r})
assert run.resumed and run.steps == 1 and run.vars["best"] == [1.5, {{"a": b"x"}}]
assert "torch" not in sys.modules
run._engine.over = True
"""
    ended = script(folder, resumed)
    assert ended.returncode == 0, ended.stderr


def forked(launcher: Any, folder: Path, text: str) -> Tuple[int, str]:
    """Runs a script that needs torch. Returns its wait status and what it said."""
    path, output = folder / "script.py", folder / "output"
    path.write_text(text)
    status = launcher.run(script=str(path), words=[], env={}, output=str(output), folder=str(folder))
    return status, output.read_text()


KILLED = """
import os, torch, trainstash
from trainstash import ptfile
def die(*arguments):
    open(arguments[1], "wb").write(b"x" * 1000)
    os.kill(os.getpid(), 9)
ptfile.write = die
run = trainstash.init(model=torch.nn.Linear(2, 2))
run.checkpoint()
"""


def test_what_a_killed_writer_left_is_swept_by_the_next_start(launcher: Any, folder: Path) -> None:
    status, said = forked(launcher, folder, KILLED)
    assert status == 9, said
    (left,) = folder.glob(".trainstash/sessions/*/inbox/.tmp-*")
    other = left.parent / ".tmp-other"
    other.mkdir()
    run = trainstash.init(model=torch.nn.Linear(2, 2))
    finished(run)
    assert not left.exists() and not other.exists()


LIVING = """
import os, torch, trainstash
from trainstash import launching
run = trainstash.init(model=torch.nn.Linear(2, 2))
mine = os.path.join(run._engine.session.inbox, ".tmp-mine")
os.makedirs(mine)
if os.fork() == 0:
    launching._current = None
    del os.environ["TRAINSTASH_OWNER"]
    trainstash.init(model=torch.nn.Linear(2, 2))
    os._exit(0)
_, status = os.wait()
assert status == 0
assert os.path.exists(mine)
run._engine.over = True
"""


def test_what_a_living_writer_writes_is_not_swept(launcher: Any, folder: Path) -> None:
    status, said = forked(launcher, folder, LIVING)
    assert status == 0, said
    assert len(list(folder.glob(".trainstash/sessions/*"))) == 2
