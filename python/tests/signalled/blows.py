"""The signal of a trial: sent from inside of the training, so that it comes at the moment that it is to come at."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from typing import Any, List

#: Variable with the trial's own signal, and one that all of its processes have.
VARIABLE, MARK = "TRAINSTASH_SIGNALLED", "TRAINSTASH_SIGNALLED_MARK"
#: Time between two signals.
_TWICE_SECONDS = 0.03

_plan: Any = None
_sent = False


def install() -> None:
    """Reads the plan. Without one nothing is sent."""
    global _plan
    text = os.environ.get(VARIABLE, "")
    _plan = json.loads(text) if text and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0" else None
    if _plan is None or int(os.environ.get("RANK", "0")) != _plan["rank"]:
        _plan = None
        return
    if _plan["moment"] == "init":
        from trainstash import launching

        found = launching._saved_for_all

        def find_and_send(*words: Any) -> Any:
            send()
            return found(*words)

        launching._saved_for_all = find_and_send
    if _plan["moment"] == "save":
        from trainstash import checkpoints

        write = checkpoints.Checkpoints._write

        def send_and_write(*words: Any, **more: Any) -> bool:
            send()
            return write(*words, **more)

        checkpoints.Checkpoints._write = send_and_write  # type: ignore[method-assign]


def reached(moment: str, at: int) -> None:
    """Sends the signal, when the plan's moment has come."""
    if _plan is None or at != _plan["at"] or moment != ("step" if _plan["moment"] == "twice" else _plan["moment"]):
        return
    delay = _plan["delay"]
    if delay:
        threading.Timer(delay, send).start()
    else:
        send()


def send() -> None:
    """Sends it once, or twice, as planned."""
    global _sent
    if _plan is None or _sent:
        return
    _sent = True
    number = getattr(signal, _plan["signal"])
    _to_all(_targets(), number)
    if _plan["moment"] == "twice":
        threading.Timer(_TWICE_SECONDS, lambda: _to_all(_targets(), number)).start()


def _to_all(pids: List[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _targets() -> List[int]:
    if _plan["target"] == "process":
        return [os.getpid()]
    if _plan["target"] == "torchrun":
        return [os.getppid()]
    return processes(os.environ[MARK])


def processes(mark: str) -> List[int]:
    """Lists all processes of a trial, as a scheduler does that signals each of them; this one comes last."""
    found: List[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    if f"{MARK}={mark}".encode() in file.read().split(b"\0"):
                        found.append(int(name))
    return [*found, *([os.getpid()] if os.environ.get(MARK) == mark else [])]
