"""The end of a training: by itself, by request, by a signal, or broken off; and what is kept then."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from . import allocation, cells, notebook, signals
from .session import write_end

if TYPE_CHECKING:
    from .engine import Engine

# Seconds for which a training waits at its end for a disk that has no room for its last state.
_PATIENCE = 600.0
_PATIENCE_OF_SEVERAL = 60.0
_NOT_KEPT = "trained to the end, but its last state could not be written: a resume repeats the steps after the newest checkpoint"


class Ending:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The name of the signal that all ranks obey now.
        self.interrupted: Optional[str] = None
        # The step after which the loop was broken off by an exception, or Ctrl-C was pressed.
        self._broken_off_at: Optional[int] = None
        self._not_kept = False
        #: True: the session of this launch is over, though the process lives on.
        self.is_closed = False
        #: The word for how the session of this launch ended; of one that goes on, how the one before it did, until it has trained.
        self.outcome: Optional[str] = None
        self._heir: Optional[Engine] = None
        #: The step at which the launch began to train.
        self.began_at = engine.steps

    @property
    def is_in_pieces(self) -> bool:
        """Tells whether the objects are not as the newest checkpoint has them: a step was broken off, or others were done since."""
        engine = self._engine
        return self.was_broken_off() or self._not_kept or engine.saver.saved_at != engine.steps

    def watch(self) -> None:
        """Sees how the process ends, and how a notebook's cells do."""
        self.began_at = self._engine.steps
        atexit.register(self._at_exit)
        if notebook.shell() is not None:
            cells.watch()
            return  # The kernel sets its own handler for each cell.
        try:
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                signal.signal(signal.SIGINT, self._noticing(before))
        except ValueError:
            pass  # Not the main thread: then the signal ends the process, as it would without us.

    def break_off(self) -> None:
        """Notes that the loop was left by an exception: weights may be in the middle of a step."""
        if not self._engine.over:
            self._broken_off_at = self._engine.steps

    def was_broken_off(self) -> bool:
        """Tells whether the loop was broken off after the newest step."""
        return self._broken_off_at == self._engine.steps

    def heir(self) -> Engine:
        """Goes on with the run in a session of its own."""
        if self._heir is None:
            from .going_on import go_on

            self._heir = go_on(self._engine)
        return self._heir.current()

    def close(self, outcome: str, reason: str) -> None:
        """Ends the session of this launch, if nothing has ended it yet; the process lives on."""
        engine, session = self._engine, self._engine.session
        if outcome == "completed" and self._has_unsaved_end():
            self._take_last(["end"], in_loop=False)
        if engine.checkpoints is not None:
            engine.checkpoints.join()
        atexit.unregister(self._at_exit)
        self.is_closed = True
        if session is None:
            return
        if not os.path.exists(session.file("exit.json")):
            self.outcome = "failed" if self._not_kept else outcome
            session.write_exit(self.outcome, engine.steps, _NOT_KEPT if self._not_kept else reason)
        session.release()

    def finish(self, reasons: List[str]) -> None:
        """Ends the training: the loop has come to its end."""
        engine = self._engine
        if engine.over:
            return
        self._take_last([*reasons, "end"])
        if engine.is_replay and engine.session is not None:
            engine.session.write_exit("completed", engine.steps)
        engine.over = True

    def leave(self, is_pause: bool, request: Optional[Dict[str, Any]]) -> None:
        """Saves and ends the process. On rank 0 the file is whole before anyone is told."""
        engine, session = self._engine, self._engine.session
        if self.interrupted == "SIGINT":
            self.interrupted = None  # A person has asked for it.
        reason = self.interrupted or ("pause" if is_pause else "stop")
        by_itself = request is None and is_pause and engine.watch.pause is not None
        kept = engine.saver.take(["signal" if self.interrupted else engine.watch.pause_reason if by_itself else reason], wait=True)
        tells = session is not None and engine.rank == 0
        if engine.group.share(is_pause and not kept and self.interrupted is None):
            # A process that left now would lose work.
            engine.watch.pause = engine.watch.trouble = None
            if tells and session and request is not None:
                session.answer(request, engine.steps)
            return
        outcome = "paused" if is_pause else "stopped"
        if tells and session:
            if request is not None:
                session.answer(request, engine.steps)
        self._end_process(outcome, f"after {reason}" if self.interrupted else engine.watch.pause or "")

    def leave_held(self, signal: str) -> None:
        """Ends the process after a signal, when the state that was held is written."""
        self.interrupted = signal
        self._end_process("paused", f"after {signal}")

    def leave_unsaved(self) -> None:
        """Pauses a training whose state has diverged: the checkpoints from before that are what a resume goes on from."""
        engine = self._engine
        if engine.checkpoints is not None:
            engine.checkpoints.join()
        self._end_process("paused", engine.watch.pause or "")

    def _end_process(self, outcome: str, reason: str) -> None:
        engine = self._engine
        if engine.session is not None and engine.rank == 0:
            # A signal, or a person, may have asked for the pause: then it is theirs.
            trouble = engine.watch.trouble if outcome == "paused" and reason and reason == engine.watch.pause else None
            engine.session.write_exit(outcome, engine.steps, reason, trouble)
        engine.over = True
        self.outcome = outcome
        signals.forget()
        if notebook.shell() is not None:
            raise KeyboardInterrupt(f"trainstash: {outcome} at step {engine.steps}")
        # Not an Exception: a script that catches those must not train on.
        raise SystemExit(allocation.exit_code(self.interrupted))

    def replayed(self) -> None:
        """Ends a verification that has come as far as it was to."""
        engine = self._engine
        self._take_last(["end"])
        if engine.session is not None and engine.rank == 0:
            engine.session.write_exit("completed", engine.steps)
        engine.over = True
        raise SystemExit(0)

    def _take_last(self, reasons: List[str], in_loop: bool = True) -> None:
        """Takes the last checkpoint. What it does not keep is lost with the process: other ranks may wait for this one, but not
        for long."""
        engine = self._engine
        patience = _PATIENCE_OF_SEVERAL if engine.group.several else _PATIENCE
        if not engine.saver.take(reasons, wait=True, patience=patience, in_loop=in_loop):
            self._not_kept = True

    def _noticing(self, before: Any) -> Any:
        """Wraps the handler that was there, so that it also notes that the step may be broken off."""

        def on_interrupt(number: int, frame: Any) -> Any:
            if os.getpid() == self._engine.pid:
                self._broken_off_at = self._engine.steps
            return before(number, frame)

        return on_interrupt

    def _at_exit(self) -> None:
        engine = self._engine
        if os.getpid() != engine.pid:
            return
        engine.metrics.read_late()
        failure = getattr(sys, "last_value", None) if notebook.shell() is None else None
        if failure is None and self._has_unsaved_end():
            self._take_last(["end"], in_loop=False)
        session = engine.session
        if session is None:
            return
        session.flush()
        if self._not_kept:
            session.write_exit("failed", engine.steps, _NOT_KEPT)
        else:
            write_end(session, engine.steps)

    def _has_unsaved_end(self) -> bool:
        """Tells whether a loop has ended in its own way and stands between two steps. In the middle of a step, nothing is kept:
        the checkpoint before it is whole."""
        engine = self._engine
        if engine.checkpoints is None or engine.over or engine.is_replay or engine.group.several:
            return False
        unsaved = engine.checkpoints.failed or engine.steps > engine.saver.saved_at or engine.saver.resumed_inside
        if not unsaved or self.was_broken_off():
            return False
        return not engine.gradients.were_touched_since_step() or engine.position.was_left_in_order()
