"""The ends of a launch: put into the process of a generated script before the script runs, which knows nothing of them."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, Dict, List

#: saved: killed as soon as the checkpoint of a step is whole. step: killed after a step was told. writing: killed when half of a
#: checkpoint is written. paused, terminated: asked to end after a step. validation: killed where the model is set to evaluate
#: for the nth time. interrupted, failed: Ctrl-C, or an error, in the nth backward pass. asked: a checkpoint is asked for after a
#: step, and the process is killed when it is whole.
KINDS = ("saved", "step", "writing", "paused", "terminated", "validation", "interrupted", "failed", "asked")
#: The kinds that end the process by SIGKILL; the others let it end.
KILLS = ("saved", "step", "writing", "validation", "asked")
VARIABLE = "TRAINSTASH_MATRIX_KILL"


def install() -> None:
    """Installs the hook that the launcher wants; called by the launcher."""
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return
    kill = json.loads(text)
    kind, at = kill["kind"], kill["at"]
    if kind in ("saved", "asked"):
        _on_event("checkpoint", at, die)
    if kind == "step":
        _on_event("metrics", at, die_settled)
    if kind in ("paused", "asked"):
        _ask_often()
        _on_event("metrics", at, lambda: _ask(pause=kind == "paused"))
    if kind == "terminated":
        _on_event("metrics", at, lambda: os.kill(os.getpid(), signal.SIGTERM))
    if kind == "writing":
        _while_writing(at)
    if kind == "validation":
        _at_call("torch.nn", "Module", "eval", at, die_settled)
    if kind in ("interrupted", "failed"):
        _at_call("torch", "Tensor", "backward", at, lambda: _raise(kind))


def die() -> None:
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def die_settled() -> None:
    """Waits for what is being written, so that a run from the same seed finds the same checkpoints."""
    for thread in threading.enumerate():
        if thread.name == "trainstash-writer" and thread is not threading.current_thread():
            thread.join()
    die()


def _on_event(wanted: str, at: int, then: Any) -> None:
    """Calls ``then`` once an event of that kind is told for that step or a later one."""
    from trainstash.session import Session

    original = Session.emit
    done: List[bool] = []

    def emit(self: Any, kind: str, fields: str) -> None:
        original(self, kind, fields)
        if kind == wanted and not done and json.loads(f"{{{fields}}}")["step"] >= at:
            done.append(True)
            then()

    Session.emit = emit  # type: ignore[method-assign]


def _ask_often() -> None:
    import trainstash.boundary
    import trainstash.fit

    for module in (trainstash.boundary, trainstash.fit):
        module._POLL_SECONDS = 0.0  # type: ignore[attr-defined]


def _ask(pause: bool) -> None:
    path = os.path.join(os.environ["TRAINSTASH_SESSION"], "control")
    control: Dict[str, Any] = {"seq": 1, "pause": True} if pause else {"seq": 1, "checkpoint": True}
    with open(f"{path}.tmp", "w") as file:
        json.dump(control, file)
    os.rename(f"{path}.tmp", path)


def _while_writing(at: int) -> None:
    """Kills the process in the nth checkpoint of this launch. The checkpoint before it is whole by then."""
    from trainstash import ptfile

    original = ptfile.write
    calls = []

    def write(state: Any, path: str) -> Any:
        calls.append(path)
        written = original(state, path)
        if len(calls) >= at:
            os.truncate(path, os.path.getsize(path) // 2)
            die()
        return written

    ptfile.write = write


def _at_call(module: str, owner: str, name: str, at: int, then: Any) -> None:
    found = sys.modules.get(module)
    if found is None:
        return
    cls = getattr(found, owner)
    original = getattr(cls, name)
    calls = []

    def counted(self: Any, *args: Any, **words: Any) -> Any:
        calls.append(name)
        if len(calls) == at:
            then()
        return original(self, *args, **words)

    setattr(cls, name, counted)


def _raise(kind: str) -> None:
    if kind == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
    else:
        raise RuntimeError("an error of the script's own")
