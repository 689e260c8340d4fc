"""Restarts by ``torchrun --max-restarts``: all processes begin again in the same session, and go on from its newest checkpoint.

The daemon takes checkpoints out of the inbox, so rank 0 keeps a second name of the newest one there for as long as another
attempt may follow. Its name is that of an unfinished one: nobody takes it, and it is swept when the session is over. Without a
daemon each attempt has a session of its own, and goes on from the newest checkpoint of those since torchrun was started.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import time
from typing import Any, Dict, List, Optional

from .session import CHECKPOINT_FILE, STATE_FILE

_KEPT = ".tmp-restart-"


def attempt() -> int:
    """Counts how many times torchrun has started these processes again."""
    return _number("TORCHELASTIC_RESTART_COUNT")


def may_follow() -> bool:
    """Tells whether torchrun would start the processes again after a failure."""
    return _number("TORCHELASTIC_MAX_RESTARTS") > attempt()


def launched_at() -> float:
    """Reads when torchrun, the parent of this process, was started: milliseconds since 1970, or infinity where that cannot be known."""
    try:
        with open(f"/proc/{os.getppid()}/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")) * 1000
    except (OSError, ValueError, IndexError, AttributeError):
        return math.inf


def keep(inbox: str, written: str, name: str) -> None:
    """Gives a checkpoint that is whole in the folder ``written`` its second name. Raises OSError."""
    if not may_follow():
        return
    unfinished = os.path.join(inbox, f".tmp-{name}-restart")
    shutil.copytree(written, unfinished, copy_function=_link)
    os.rename(unfinished, os.path.join(inbox, _KEPT + name))


def forget_older(inbox: str) -> None:
    """Keeps the newest alone."""
    for name in _kept(inbox)[:-1]:
        shutil.rmtree(os.path.join(inbox, name), ignore_errors=True)


def newest(inbox: str) -> Optional[Dict[str, Any]]:
    """Finds the checkpoint to go on from, as a launch record names it; None: there is none. All ranks find the same one: by now
    nobody writes there."""
    for name in reversed(_kept(inbox)):
        folder = os.path.join(inbox, name)
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(os.path.join(folder, CHECKPOINT_FILE), encoding="utf-8") as file:
                facts = json.load(file)
            if os.path.exists(os.path.join(folder, STATE_FILE)):
                return {"directory": folder, "checkpoint": facts["id"], "step": facts["step"]}
    return None


def _kept(inbox: str) -> List[str]:
    try:
        return sorted(name for name in os.listdir(inbox) if name.startswith(_KEPT))
    except OSError:
        return []


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else 0
