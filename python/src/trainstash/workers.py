"""Worker processes of torch's loaders outlive a signal that reaches every process of a training: without them it could not save.

torch gives each worker a handler of SIGTERM that ends it, and the other signals end it by default. A worker ends with its parent
anyway, so it has no need to obey them itself. It still ends when its parent is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import site
import sys
import threading
from typing import Any, Callable, Iterator, List

from .signals import NAMES, end_by

_SERVER_MODULE = "trainstash.fork_server"

_original: Any = None
#: Workers of this process that may still live.
_workers: List[Any] = []


def guard() -> None:
    """Makes the workers that this process starts from now on outlive such signals. A torch that is built in another way stays as
    it is."""
    global _original
    worker, dataloader = sys.modules.get("torch.utils.data._utils.worker"), sys.modules.get("torch.utils.data.dataloader")
    kind: Any = getattr(dataloader, "_MultiProcessingDataLoaderIter", None)
    original = getattr(worker, "_worker_loop", None)
    if kind is None or original is None or original is loop or not hasattr(signal, "pthread_sigmask"):
        return
    _original = original
    worker.__dict__["_worker_loop"] = loop
    kind.__init__ = _guarded(kind.__init__)
    atexit.register(_end_all, os.getpid())


def loop(*arguments: Any, **named: Any) -> None:
    """Runs a worker, in its process, with handlers that replace torch's own."""
    from torch.utils.data._utils import signal_handling, worker

    original = _original or worker._worker_loop
    set_up = signal_handling._set_worker_signal_handlers
    parent = _parent()

    def set_up_and_outlive(*_: Any) -> None:
        set_up()
        _outlive_signals(parent)

    class Watchdog(worker.ManagerWatchdog):  # type: ignore[misc, unused-ignore]
        """Knows the parent from the beginning: torch asks for it after the script's ``worker_init_fn``, when it may be gone, and such a
        worker would live for ever."""

        def __init__(self) -> None:
            super().__init__()
            self.manager_pid = parent

    signal_handling._set_worker_signal_handlers = set_up_and_outlive
    worker.__dict__["ManagerWatchdog"] = Watchdog
    original(*arguments, **named)


def _parent() -> int:
    """Returns the process whose end is the worker's, too: the one that made it, which may be gone already, or its fork server."""
    parent = multiprocessing.parent_process()
    is_served = getattr(multiprocessing.current_process(), "_start_method", "") == "forkserver"
    return os.getppid() if parent is None or parent.pid is None or is_served else parent.pid


def _outlive_signals(parent: int) -> None:
    pid = os.getpid()

    def on_signal(number: int, _frame: Any) -> None:
        # A process that the worker has forked has this handler, too.
        if os.getpid() != pid or os.getppid() != parent:
            end_by(number)

    for number in held_numbers():
        signal.signal(number, on_signal)
    # Signals that came while this process was being started were held back.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held_numbers())


def held_numbers() -> List[int]:
    """Lists the signals that a worker outlives. With Ctrl-C its parent decides what becomes of it."""
    return [int(getattr(signal, name)) for name in (*NAMES, "SIGINT") if hasattr(signal, name)]


def _guarded(begin: Callable[..., None]) -> Callable[..., None]:
    """Wraps the making of a loader's iterator, which starts the workers."""

    def begin_guarded(iterator: Any, loader: Any, *arguments: Any, **named: Any) -> None:
        with contextlib.suppress(Exception):
            _start_helpers(getattr(loader, "multiprocessing_context", None))
        with _signals_held_back():
            begin(iterator, loader, *arguments, **named)
        _workers[:] = [*filter(_lives, _workers), *iterator._workers]
        for worker in iterator._workers:
            # torch asks a worker that hangs to end, by a signal that it outlives now.
            worker.terminate = worker.kill

    return begin_guarded


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Holds signals back from this thread and from the processes that it starts, which do not have their handlers yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held_numbers())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_helpers(context: Any) -> None:
    """Starts the helpers of multiprocessing before signals are held back: they would hold them back for good."""
    method = context if isinstance(context, str) else getattr(context, "_name", None)
    method = method or multiprocessing.get_start_method()
    if method == "fork":
        return
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()
    if method != "forkserver":
        return
    loaded: List[str] = list(getattr(forkserver._forkserver, "_preload_modules", []))
    if _SERVER_MODULE not in loaded:
        multiprocessing.set_forkserver_preload([_SERVER_MODULE, *loaded])
    # The module releases the signals again, where a new interpreter finds it.
    with _signals_held_back() if _is_found_everywhere() else contextlib.nullcontext():
        forkserver.ensure_running()


def _is_found_everywhere() -> bool:
    """Tells whether a new interpreter finds this package without being told where."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    told = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return folder in [*told, *site.getsitepackages(), site.getusersitepackages()]


def _end_all(pid: int) -> None:
    """Ends the workers that still live when the interpreter leaves. multiprocessing would ask them to end, and wait."""
    if os.getpid() != pid:
        return
    living = list(filter(_lives, _workers))
    if living and threading.current_thread() is threading.main_thread():
        # torch's handler would call their end a failure.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in living:
        with contextlib.suppress(OSError, ValueError):
            worker.kill()


def _lives(worker: Any) -> bool:
    try:
        return bool(worker.is_alive())
    except (AssertionError, ValueError):
        return False  # It is closed, or of another process.
