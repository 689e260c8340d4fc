"""A module that multiprocessing's fork server loads: the server outlives signals, like the workers that it starts, and ends with
the process that it serves. Other processes that it starts obey them."""

from __future__ import annotations

import os
import signal
from typing import Any

from .signals import NAMES, end_by

_pid = os.getpid()


def _on_signal(number: int, _frame: Any) -> None:
    if os.getpid() != _pid:
        end_by(number)


for _name in NAMES:
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) == signal.SIG_DFL:
        signal.signal(getattr(signal, _name), _on_signal)
