"""Kernels as Jupyter starts them, and what notebooks in them leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from jupyter_client.manager import KernelManager
from trainstash import ptread

PACKAGE = Path(__file__).parents[2] / "src"
WITHIN_SECONDS = 60.0

#: A model, its data, and the run of them, without steps.
MODEL = """
import torch, trainstash
torch.manual_seed(1)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
x = torch.randn(64, 4)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, shuffle=True)
"""
INIT = "run = trainstash.init(model=model, optimizer=optimizer)"
LOOP = """
for epoch in run.epochs({epochs}):
    for a, b in run.batches(loader):
        loss = (model(a) - b).square().mean()
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        run.step(loss=loss)
        at_step(run.steps)
"""


class Cell:
    """A cell that has run."""

    def __init__(self, reply: Dict[str, Any], messages: List[Dict[str, Any]]) -> None:
        self.status = str(reply["status"])
        self.error = f"{reply.get('ename')}: {reply.get('evalue')}" if self.status == "error" else None
        self.messages = messages

    @property
    def text(self) -> str:
        return "".join(one["content"]["text"] for one in self.messages if one["msg_type"] == "stream")

    def displays(self, kind: str = "display_data") -> List[Dict[str, Any]]:
        return [one["content"] for one in self.messages if one["msg_type"] == kind]


class Kernel:
    """A kernel. ``env``: variables beside those of this process."""

    def __init__(self, folder: Optional[Path] = None, **env: str) -> None:
        known = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", **env}
        for name in ("TRAINSTASH_SESSION", "TRAINSTASH_OWNER"):
            known.pop(name, None)
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(folder or "/tmp"), env=known)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=WITHIN_SECONDS)
        self.pid = int(self.run("import os; print(os.getpid())").text)

    def begin(self, code: str) -> str:
        return str(self._client.execute(code))

    def finish(self, cell: str, then: Optional[Callable[[str], None]] = None) -> Cell:
        """Waits for a cell. ``then``: told of what it prints."""
        messages: List[Dict[str, Any]] = []
        while True:
            message = self._client.get_iopub_msg(timeout=WITHIN_SECONDS)
            if message["parent_header"].get("msg_id") != cell:
                continue
            messages.append(message)
            if message["msg_type"] == "stream" and then is not None:
                then(message["content"]["text"])
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        while True:
            reply = self._client.get_shell_msg(timeout=WITHIN_SECONDS)
            if reply["parent_header"].get("msg_id") == cell:
                return Cell(reply["content"], messages)

    def run(self, code: str, then: Optional[Callable[[str], None]] = None) -> Cell:
        return self.finish(self.begin(code), then)

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.end()

    def shut_down(self) -> None:
        """Ends the kernel as Jupyter does: it interrupts, asks, and waits."""
        self._manager.shutdown_kernel()
        self._client.stop_channels()

    def end(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class Notebook:
    """A notebook in a folder of its own, with the sessions that its runs have there."""

    def __init__(self, kernel: Kernel, folder: Path, name: str = "train.ipynb") -> None:
        self.kernel = kernel
        self.folder = folder
        subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
        kernel.run(f"%reset -f\nimport os; os.chdir({str(folder)!r}); __vsc_ipynb_file__ = {str(folder / name)!r}\ndef at_step(n): pass")

    def run(self, code: str, then: Optional[Callable[[str], None]] = None) -> Cell:
        return self.kernel.run(code, then)

    def ok(self, code: str) -> Cell:
        cell = self.run(code)
        assert cell.error is None, cell.error
        return cell

    def interrupted(self, code: str, times: int = 1) -> Cell:
        """Runs a cell that prints "now" where it is to be interrupted, and then waits for that."""
        left = [times]

        def look(text: str) -> None:
            if left[0] > 0 and ("now" in text or "Interrupt again" in text):
                left[0] -= 1
                self.kernel.interrupt()

        return self.run(code, look)

    def leave(self) -> None:
        self.run("run = None\nimport trainstash.launching as l\nl._current = None")

    def sessions(self) -> List[Session]:
        folder = self.folder / ".git" / "trainstash" / "sessions"
        found = [Session(one) for one in folder.iterdir()] if folder.exists() else []
        return sorted(found, key=lambda one: float(one.launch["createdAt"]))


class Session:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.launch: Dict[str, Any] = json.loads((path / "launch.json").read_text())

    @property
    def end(self) -> Dict[str, Any]:
        path = self.path / "exit.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def outcome(self) -> str:
        return str(self.end.get("outcome", "running"))

    @property
    def is_live(self) -> bool:
        """Tells whether somebody holds the session's lock."""
        import sqlite3

        lock = sqlite3.connect(self.path / "lock", isolation_level=None, timeout=0)
        try:
            lock.execute("PRAGMA journal_mode=MEMORY")
            lock.execute("BEGIN EXCLUSIVE")
            return False
        except sqlite3.Error:
            return True
        finally:
            lock.close()

    def losses(self) -> Dict[int, float]:
        events = [json.loads(line) for line in (self.path / "events.ndjson").read_text().splitlines() if line]
        return {one["step"]: one["values"]["loss"] for one in events if one["type"] == "metrics" and "loss" in one["values"]}

    def checkpoints(self) -> List[Path]:
        return sorted(one for one in (self.path / "inbox").iterdir() if not one.name.startswith("."))

    def state(self) -> Any:
        return ptread.read(str(self.checkpoints()[-1] / "state.pt"))

    def facts(self) -> Dict[str, Any]:
        facts: Dict[str, Any] = json.loads((self.checkpoints()[-1] / "checkpoint.json").read_text())
        return facts


def weights(session: Session) -> List[List[float]]:
    return [tensor.flatten().tolist() for tensor in session.state()["model"].values()]


def wait_for(found: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    while not found():
        assert time.monotonic() < until
        time.sleep(0.02)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)

