"""The work between two steps and between two epochs: what is due, and what was asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from . import signals
from .holding import Holding
from .policy import Policy
from .position import AT_END, TAIL, UNSEEN

if TYPE_CHECKING:
    from .engine import Engine

_POLL_SECONDS = 0.1
_NOTHING, _SAVE, _PAUSE, _STOP, _DONE, _LEAVE = 0, 1, 2, 3, 4, 5


class Boundary:
    """The decisions of rank 0; the other ranks hear of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.policy = Policy({}, 0)
        self.holding = Holding(engine)
        #: A step was done whose round of the loop is not over.
        self.is_due = False
        #: The time at which the control file was looked at last.
        self.polled = 0.0
        self._until: Optional[int] = engine.launch.get("untilStep")
        self._until_epoch: Optional[int] = engine.launch.get("untilEpoch")
        self._request: Optional[Dict[str, Any]] = None
        # Reasons for checkpoints that wait for the end of the epoch.
        self._due_later: List[str] = []

    def ask(self, reasons: List[str]) -> None:
        """Requests a checkpoint at the next step at which all ranks meet, or at the end of the epoch."""
        self._due_later += [one for one in reasons if one not in self._due_later]

    def asked(self, stepped: bool) -> None:
        """Does what is due when the loop asks for another batch. ``stepped``: of a loader whose batches are trained on."""
        if self.is_due and stepped:
            self.between_steps()
        else:
            self.holding.leave_if_written()

    def between_steps(self) -> None:
        """Does what is due when the round of a step is over, and the next one is not begun."""
        engine = self._engine
        self.is_due = False
        self.holding.let_go()
        if engine.group.several and not engine.group.may_decide(engine.steps):
            return
        reasons: List[str] = []
        decision = _NOTHING
        if engine.rank == 0 and engine.checkpoints is not None:
            decision, reasons = self._due_now(engine.checkpoints.in_flight)
        not_after = self._until or self.policy.next_step(engine.steps)
        noted = 0 if signals.is_interrupted() and self.has_to_wait() else signals.noted()
        decision, signal = engine.group.decide(engine.steps, decision, noted, not_after)
        decision = self._obeyed(signal, decision)
        if decision != _NOTHING:
            self._due_later = []
            self._act(decision, reasons)
        else:
            self.holding.begin()

    def after_epoch(self, is_last: bool) -> None:
        """Does what is due when the whole body of an epoch has run. At the last epoch it is left to the loop's end, which comes at once."""
        engine = self._engine
        reasons: List[str] = []
        decision = _NOTHING
        self.holding.end()
        if engine.checkpoints is not None and engine.rank == 0:
            decision, reasons = self._due_after_epoch()
        answers = engine.group.gather((signals.noted(), decision, reasons))
        _, decision, reasons = answers[0]
        decision = self._obeyed(max(answer[0] for answer in answers), decision)
        if decision == _SAVE and is_last:
            self._due_later = reasons
        else:
            self._act(decision, reasons)

    def before_round(self) -> None:
        """Takes what was due at the end of one loader when a loop without epochs begins the next."""
        if self._due_later and not self._engine.group.several:
            self._engine.saver.take(self.take_due())

    def take_due(self) -> List[str]:
        """Returns the reasons that still wait, and clears them."""
        best = ["best"] if self._engine.best.is_waiting else []
        reasons, self._due_later = [*self._due_later, *best], []
        return list(dict.fromkeys(reasons))

    def has_to_wait(self) -> bool:
        """Tells whether the true boundary comes right after this step: a resume from here would run the epoch's end alone."""
        engine = self._engine
        if signals.noted() and not signals.is_interrupted():
            return False  # Somebody who terminates a process does not wait for a validation.
        standing = engine.position.standing()
        return standing in (AT_END, TAIL) or (standing == UNSEEN and engine.position.steps_in_epoch <= 1)

    def _due_now(self, in_flight: bool) -> Tuple[int, List[str]]:
        engine = self._engine
        reasons = [] if engine.is_replay or engine.watch.diverged else [*self._due_later, *self.policy.due(engine.steps)]
        if engine.best.is_waiting:
            if engine.best.is_of_these_weights():
                reasons.append("best")
            elif not self.has_to_wait():
                engine.best.give_up()
        reasons = list(dict.fromkeys(reasons)) if len(reasons) > 1 else reasons
        decision = self._asked()
        if decision == _NOTHING and reasons:
            decision = _SAVE
        if decision == _SAVE and self._request is None and in_flight:
            return _NOTHING, []  # One at a time: it is due again at the next step.
        if decision in (_SAVE, _PAUSE, _STOP) and self.has_to_wait():
            self._due_later = [one for one in reasons if one != "best"]
            return _NOTHING, []
        return decision, reasons

    def _due_after_epoch(self) -> Tuple[int, List[str]]:
        engine = self._engine
        if engine.is_replay:
            exact = self._until_epoch is not None and engine.epoch >= self._until_epoch and engine.steps >= (self._until or 0)
            return (_DONE if exact else _NOTHING), []
        reasons = list(dict.fromkeys([*self.policy.due_at_epoch(engine.epoch), *self.take_due()]))
        if engine.watch.diverged:
            reasons = []  # It would push out good ones.
        if reasons == ["epoch"] and engine.saver.has_this_boundary():
            reasons = []  # The script has just taken it by itself.
        asked = self._asked()
        return (asked if asked != _NOTHING else _SAVE if reasons else _NOTHING), reasons

    def _obeyed(self, signal: int, decision: int) -> int:
        """Returns the decision after a signal, which any of the ranks may have been sent: all of them leave."""
        if not signal:
            return decision
        self._engine.ending.interrupted = signals.name_of(signal)
        return _PAUSE

    def _act(self, decision: int, reasons: List[str]) -> None:
        engine = self._engine
        if decision in (_PAUSE, _STOP):
            request, self._request = self._request, None
            engine.ending.leave(decision == _PAUSE, request)
        elif decision == _DONE:
            engine.ending.replayed()
        elif decision == _LEAVE:
            engine.ending.leave_unsaved()
        elif decision == _SAVE:
            request, self._request = self._request, None
            engine.saver.take([*reasons, *(["request"] if request else [])])
            if request and engine.session is not None:
                engine.session.answer(request, engine.steps)

    def _asked(self) -> int:
        engine = self._engine
        if signals.noted():
            return _PAUSE
        if engine.is_replay:
            at = self._until is not None and engine.steps >= self._until
            exact = at and (self._until_epoch is None or (not engine.position.inside and not engine.position.open))
            return _DONE if exact else _NOTHING
        if engine.watch.pause is not None:
            # A diverged state is not saved: going on from it is of no use.
            return _LEAVE if engine.watch.diverged else _PAUSE
        now = time.monotonic()
        if self._request is None and engine.session is not None and now - self.polled >= _POLL_SECONDS:
            self.polled = now
            self._request = engine.session.request()
            if engine.session.badge is not None:
                engine.session.badge.look(engine.steps)
        request = self._request
        if request is None:
            return _NOTHING
        if request.get("stop"):
            return _STOP
        return _PAUSE if request.get("pause") else _SAVE
