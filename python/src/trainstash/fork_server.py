"""A module that multiprocessing's fork server loads. The server outlives signals, like the loaders' workers that it starts, and
ends with the process that it serves. Other processes that it starts obey them."""

from __future__ import annotations

import os
import signal
from multiprocessing import process
from typing import Any

from . import workers
from .signals import NAMES, end_by

_pid = os.getpid()


def _on_signal(number: int, _frame: Any) -> None:
    if os.getpid() != _pid:
        end_by(number)


def _hold() -> None:
    if os.getpid() == _pid:
        signal.pthread_sigmask(signal.SIG_BLOCK, workers.held_numbers())


def _release() -> None:
    if os.getpid() == _pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, workers.held_numbers())


def _install() -> None:
    for name in NAMES:
        if signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), _on_signal)
    # A child imports what it is to do, which takes seconds. A worker holds signals back until it has its own handlers.
    os.register_at_fork(before=_hold, after_in_parent=_release)
    begin: Any = process.BaseProcess._bootstrap  # type: ignore[attr-defined]

    def begin_released(child: Any, *arguments: Any, **named: Any) -> Any:
        if getattr(child, "_target", None) is not workers.loop:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, workers.held_numbers())
        return begin(child, *arguments, **named)

    process.BaseProcess._bootstrap = begin_released  # type: ignore[attr-defined]
    # Whoever started the server held signals back meanwhile.
    _release()


if hasattr(signal, "pthread_sigmask"):
    _install()
