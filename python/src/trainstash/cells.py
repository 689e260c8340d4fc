"""The cells of a notebook: a run is over with the cell that trains, though the kernel lives on; and Interrupt means pause."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Optional

from . import notebook, signals
from .position import AT_END, TAIL
from .session import say

if TYPE_CHECKING:
    from .engine import Engine

_PAUSES = "pauses as soon as this step, or the rest of this epoch, is done. Interrupt again to break off at once"

_watched: Any = None


def watch() -> None:
    """Sees each cell of this kernel end from now on."""
    global _watched
    shell = notebook.shell()
    if shell is None or shell is _watched:
        return
    _watched = shell
    shell.events.register("post_run_cell", _on_cell_ended)


def arm(engine: Engine) -> None:
    """Makes an Interrupt of the cell that runs now a request to pause. The kernel has another handler for each cell."""
    session = engine.session
    if session is None or _watched is None or threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or getattr(before, "trainstash_engine", None) is engine:
        return

    def on_interrupt(number: int, frame: Any) -> Any:
        if os.getpid() != engine.pid or not _is_in_loop(engine) or signals.is_interrupted():
            engine.ending.break_off()
            return before(number, frame)
        signals.interrupt()
        if session.badge is not None:
            session.badge.pausing()
        say(_PAUSES)
        return None

    on_interrupt.trainstash_engine = engine  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, on_interrupt)


def _is_in_loop(engine: Engine) -> bool:
    position = engine.position
    if engine.over or engine.ending.is_closed:
        return False
    return position.inside or bool(position.open) or not position.loaders()


def _on_cell_ended(result: Any) -> None:
    launching = sys.modules.get("trainstash.launching")
    run = getattr(launching, "_current", None)
    if run is not None and run._newest.pid == os.getpid():
        end_cell(run._newest, getattr(result, "error_in_exec", None))


def has_kept(engine: Engine) -> bool:
    """Tells whether the newest checkpoint is of the newest step: of a state that was held during a validation."""
    newest = engine.checkpoints.newest if engine.checkpoints is not None else None
    return newest is not None and newest[1] == engine.steps and engine.position.standing() in (AT_END, TAIL)


def given_up(engine: Engine) -> bool:
    """Tells whether a run is over for a notebook that begins another one. One that a cell has made and that has not trained yet is
    ended now: its cell is run again."""
    if engine.ending.is_closed:
        return True
    session = engine.session
    is_idle = not engine.position.inside and not engine.position.open and engine.steps == engine.ending.began_at
    if notebook.shell() is None or session is None or not session.alone or not is_idle:
        return False
    engine.ending.close("stopped", "init was called again before anything was trained")
    return True


def end_cell(engine: Engine, failure: Optional[BaseException]) -> None:
    """Ends the session of a run that has trained in the cell which has just ended.

    Args:
        engine: The run's.
        failure: The exception that has ended the cell.
    """
    session, ending, position = engine.session, engine.ending, engine.position
    is_open = position.inside or bool(position.open)
    has_trained = engine.over or is_open or engine.steps > ending.began_at
    if session is None or not session.alone or ending.is_closed or not (has_trained or ending.outcome):
        return
    if is_open and not engine.over and failure is None:
        return  # An iterator that cells ask by turns.
    if signals.is_interrupted() and engine.checkpoints is not None:
        engine.checkpoints.finish_held()
    signals.forget()
    engine.metrics.read_late()
    if not has_trained and ending.outcome:
        ending.close(ending.outcome, "")  # Only metrics were added.
    elif failure is None or engine.over:
        ending.close("completed", "")
    elif isinstance(failure, KeyboardInterrupt) and has_kept(engine):
        ending.close("paused", "")
    else:
        ending.break_off()
        ending.close("failed", f"{type(failure).__name__}: {failure}".rstrip(": "))
