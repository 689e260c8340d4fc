"""The decision at a boundary of a fit: what is due by the policy, asked for by a person, or by a signal to any of the ranks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from . import signals

if TYPE_CHECKING:
    from .recorder import Recorder

_POLL_SECONDS = 0.1
_NOTHING, _SAVE, _LEAVE = 0, 1, 2


class Due(NamedTuple):
    """The work that all ranks are to do at a boundary. The reasons are known to rank 0 alone."""

    saves: bool
    leaves: bool
    reasons: List[str]

    def __bool__(self) -> bool:
        return self.saves


#: The answer where nothing is to be done.
NONE = Due(False, False, [])


class Decisions:
    """The decisions of one fit. Rank 0 decides; all ranks call."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        #: The request that is carried out now.
        self.request: Optional[Dict[str, Any]] = None
        #: True: values that are better than all before them were logged, and no checkpoint has them yet.
        self.best_is_due = False
        #: The name of the signal that all ranks obey now; empty: none.
        self.signal = ""
        self._polled = 0.0

    def decide(self, step: int, due: List[str], epochs: Optional[int], records: bool, is_writing: bool) -> Due:
        """Decides for all ranks.

        Args:
            step: Steps of the run.
            due: Reasons of the policy.
            epochs: Epochs of the run that are done, at the end of one.
            records: The fit's checkpoints are kept.
            is_writing: The newest one is still being written.
        """
        recorder = self._recorder
        reasons: List[str] = []
        if recorder.is_replay:
            reasons = ["replay"] if self.has_reached(epochs) else []
        elif records:
            best = ["best"] if self.best_is_due else []
            # Checkpoints of a diverged state would push out good ones.
            automatic = [] if recorder.watch.diverged else [*dict.fromkeys(due), *best]
            reasons = [*automatic, *self._asked()]
        leaves = bool({"pause", "nan", "spike", "stop", "replay"} & set(reasons))
        if is_writing and not leaves and "request" not in reasons:
            reasons = []  # One at a time: it is due again at the next boundary.
        decision = _LEAVE if leaves else _SAVE if reasons else _NOTHING
        until = recorder.launch.get("untilStep") or recorder.policy.next_step(step)
        decision, signal = recorder.group.decide(step, decision, signals.noted(), until)
        if signal and decision != _LEAVE:
            return self.obey(signals.name_of(signal))
        return Due(decision != _NOTHING, decision == _LEAVE, reasons)

    def obey(self, signal: str) -> Due:
        """Lets the checkpoint that follows end the process, as a pause does."""
        self.signal = signal
        return Due(True, True, ["signal"])

    def has_reached(self, epochs: Optional[int]) -> bool:
        """Tells whether a replay has come as far as it was to. ``epochs``: those that are done, at the end of one."""
        recorder = self._recorder
        until, until_epoch = recorder.launch.get("untilStep"), recorder.launch.get("untilEpoch")
        if not recorder.is_replay or until is None or recorder.step < until:
            return False
        return until_epoch is None or (epochs is not None and epochs >= until_epoch)

    def saved(self) -> None:
        """Notes that a checkpoint was taken, and answers a request for one."""
        self.best_is_due = False
        request = self.request
        if request is not None and not request.get("pause") and not request.get("stop"):
            self.answer()

    def answer(self) -> Optional[Dict[str, Any]]:
        """Answers the request, if there is one, and returns it."""
        request, self.request = self.request, None
        session = self._recorder.session
        if request is not None and session is not None:
            session.answer(request, self._recorder.step)
        return request

    def _asked(self) -> List[str]:
        recorder = self._recorder
        if recorder.session is None:
            return []
        if recorder.watch.pause is not None:
            # These frameworks leave with a checkpoint; one of a diverged state is marked by its metrics.
            return [recorder.watch.pause_reason]
        now = time.monotonic()
        if self.request is None and now - self._polled >= _POLL_SECONDS:
            self._polled = now
            self.request = recorder.session.request()
        request = self.request
        if request is None:
            return []
        return ["stop" if request.get("stop") else "pause" if request.get("pause") else "request"]
