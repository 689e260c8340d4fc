"""The state at the end of an epoch's steps, held while the rest of the epoch runs: a validation may take longer than whoever sends
a signal waits. After a signal it is written at once, beside the validation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from . import signals
from .position import AT_END, TAIL

if TYPE_CHECKING:
    from .engine import Engine

#: A rest of an epoch that is shorter than this is waited for.
_SHORT_SECONDS = 5.0


class Holding:
    """Holds the state of a training of one process alone. The time that the rest of an epoch takes is not known before the first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._since: Optional[float] = None
        self._is_long = True

    def begin(self) -> None:
        """Holds the state, where the steps of an epoch are done and its rest is long."""
        engine = self._engine
        position, checkpoints = engine.position, engine.checkpoints
        if checkpoints is None or engine.group.several or engine.is_replay or engine.watch.diverged or not position.inside:
            return
        if position.standing() not in (AT_END, TAIL):
            return
        self._since = time.monotonic()
        if self._is_long and not checkpoints.in_flight and not engine.tracked.is_sharded():
            engine.saver.hold(lambda: signals.noted() != 0)

    def let_go(self) -> None:
        """Gives up what is held, since there are more steps. What is being written is waited for."""
        self._since = None
        if self._engine.checkpoints is not None:
            self._engine.checkpoints.let_go()

    def end(self) -> None:
        """Gives it up at the end of the epoch."""
        if self._since is not None:
            self._is_long = time.monotonic() - self._since >= _SHORT_SECONDS
        self.let_go()

    def leave_if_written(self) -> None:
        """Ends the process in the middle of the rest of an epoch, when a signal has come and a resume does that rest again."""
        engine = self._engine
        if self._since is not None and signals.noted() and not signals.is_interrupted() and engine.checkpoints is not None and engine.checkpoints.has_written_held:
            engine.ending.leave_held(signals.name_of(signals.noted()))
