"""Signals that ask a training to end. They are noted when they come, and obeyed between two steps, by all ranks together."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any, List

#: Signals of schedulers, of terminals that close, and of whoever wants a process to end. Ctrl-C stays the script's own: it
#: breaks a step off. A system may lack some of them.
NAMES = ("SIGTERM", "SIGUSR2", "SIGUSR1", "SIGHUP")


class _Noted:
    def __init__(self) -> None:
        #: The process that has the handlers.
        self.pid = 0
        #: The number of the first signal that came; 0: none.
        self.number = 0
        #: The signals that each thread held back before it forked.
        self.before_fork = threading.local()


_noted = _Noted()


def watch() -> None:
    """Notes such signals from now on. Signals that the script handles itself, or ignores, stay its own."""
    if _noted.pid == 0 and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_child)
    if _noted.pid != os.getpid():
        _noted.pid, _noted.number = os.getpid(), 0
    if threading.current_thread() is not threading.main_thread():
        return  # Only the main thread may: the signal ends the process then, as it would without us.
    for number in _numbers():
        if signal.getsignal(number) == signal.SIG_DFL:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, _on_signal)


def take_over_term() -> None:
    """Notes SIGTERM in the place of the handler that is there now, where ``watch`` has been called."""
    if _noted.pid == os.getpid() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _on_signal)


def release() -> None:
    """Lets such signals end this process again, since nothing is recorded that could be saved; one that came has its effect now."""
    for number in _numbers():
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_DFL)
    if noted():
        end_by(noted())


def noted() -> int:
    """Returns the number of the signal that asks this process to end; 0: none does."""
    # Asked several times a step: the number first.
    return _noted.number if _noted.number and _noted.pid == os.getpid() else 0


def interrupt() -> None:
    """Notes an Interrupt in a notebook, which asks for a pause."""
    _noted.pid, _noted.number = os.getpid(), int(signal.SIGINT)


def is_interrupted() -> bool:
    """Tells whether an Interrupt asks for a pause: unlike whoever ends a process, a person waits for the rest of an epoch."""
    return noted() == int(signal.SIGINT)


def forget() -> None:
    """Forgets the signal when it was obeyed: a notebook's process lives on and may train again."""
    _noted.number = 0


def name_of(number: int) -> str:
    """Names a signal; empty for 0."""
    return signal.Signals(number).name if number else ""


def _numbers() -> List[int]:
    return [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]


def _on_signal(number: int, _frame: Any) -> None:
    if _noted.number == 0:
        _noted.number = number


def _before_fork() -> None:
    _noted.before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _numbers())


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _noted.before_fork.mask)


def _begin_child() -> None:
    """Lets signals end a forked child, whose parent may wait for its end. A signal that came before this is obeyed now: Python
    forgets one whose handler has run by then."""
    for number in _numbers():
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _noted.before_fork.mask)


def end_by(number: int) -> None:
    """Ends this process by a signal, as if it had no handler."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
