"""Sees that a training diverges: a loss or a watched metric that is not finite, or far from where it was. The same rules as
``session/divergence.ts`` has for the other trainers."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Any, Deque, Dict, Iterable, List, Mapping, Optional

from .numbers import has_diverged, watched_metrics, wire_number

_WINDOW = 100
_MIN_WINDOW = 50
_SPIKE_DEVIATIONS = 10
# The deviation counts as this share of the mean at least: a flat curve is no reason to speak of each wobble.
_LEAST_SHARE = 0.02
# A restless curve is spoken of this seldom.
_SPIKE_REST_STEPS = 100
_SHOWN = {"NaN": "NaN", "Infinity": "∞", "-Infinity": "-∞"}


class Watch:
    def __init__(self, launch: Mapping[str, Any]) -> None:
        self._monitor: Optional[Mapping[str, str]] = launch.get("monitor")
        self._pauses = {"nan": launch.get("onNaN") == "pause", "spike": launch.get("onSpike") == "pause"}
        earlier = launch.get("recent") or {}
        self._recent = [(metric, Recent(self._mode(metric), earlier.get(metric, ()))) for metric in watched_metrics(self._monitor)]
        self._rolled_back = launch.get("rollback") or {}
        # The newest values, from the first one that is not finite on: before, nothing needs them.
        self._newest: Dict[str, float] = {}
        self._spike_said_at: Dict[str, int] = {}
        #: The newest state is taken for diverged. Automatic checkpoints wait then: they would push out good ones.
        self.diverged = False
        #: Why the run is to pause, as the job has it: `loss was NaN at step 12`; None: it is not.
        self.pause: Optional[str] = None
        #: The finding behind it, as ``exit.json`` has it.
        self.trouble: Optional[Dict[str, Any]] = None

    @property
    def pause_reason(self) -> str:
        """The reason of the checkpoint that is taken at the pause: one that the run is rolled back from is no good one."""
        code = self.trouble["code"] if self.trouble else ""
        return code if self._rolled_back.get(code) else "pause"

    def look(self, session: Any, step: int, values: Mapping[str, float]) -> None:
        """Says in the session what these values show, and sets ``pause`` and ``diverged``."""
        for metric, recent in self._recent:
            value = values.get(metric)
            if value is None:
                continue
            verdict = recent.judge(value)
            if verdict is not None or self._newest:
                self._react(session, step, metric, value, verdict)

    def _react(self, session: Any, step: int, metric: str, value: float, verdict: Optional[str]) -> None:
        before = self._newest.get(metric, 0.0)
        if not self._newest:
            self._newest = {other: recent.newest for other, recent in self._recent if recent.newest is not None}
        self._newest[metric] = value
        self.diverged = has_diverged(self._monitor, self._newest.__getitem__)
        if verdict is None:
            return
        if verdict == "nan":
            what = f"{metric} was {_SHOWN[wire_number(value)]} at step {step}"
            is_news = math.isfinite(before)
        else:
            what = f"{metric} jumped to {value:.4g} at step {step}, far from where it was"
            is_news = step - self._spike_said_at.get(metric, -math.inf) > _SPIKE_REST_STEPS
            if is_news:
                self._spike_said_at[metric] = step
        if self._pauses[verdict] and self.pause is None:
            self.pause = what
            self.trouble = {"code": verdict, "step": step, "what": what}
        if is_news:
            after = (
                " Automatic checkpoints wait until it is finite again; `trainstash resume` goes on from the newest good one."
                if self.diverged
                else ""
            )
            session.notice(verdict, "error" if verdict == "nan" else "warning", f"{what}.{after}", step)

    def _mode(self, metric: str) -> str:
        return self._monitor["mode"] if self._monitor and self._monitor["metric"] == metric else "min"


class Recent:
    """Finite values, of which the oldest goes. They are also kept in order: nearly all are told apart by one look."""

    __slots__ = ("_ordered", "_sign", "_values")

    def __init__(self, mode: str, earlier: Iterable[float] = ()) -> None:
        self._sign = 1 if mode == "min" else -1
        self._values: Deque[float] = deque(self._sign * float(value) for value in list(earlier)[-_WINDOW:])
        self._ordered: List[float] = sorted(self._values)

    @property
    def newest(self) -> Optional[float]:
        return self._values[-1] if self._values else None

    def judge(self, value: float) -> Optional[str]:
        """Judges a value: ``nan``, ``spike``, or None; takes the value in."""
        if value - value != 0:
            return "nan"
        value *= self._sign
        ordered = self._ordered
        spike = len(ordered) >= _MIN_WINDOW and value > ordered[math.ceil(len(ordered) * 0.9) - 1] and self._is_spike(value)
        self._values.append(value)
        insort(ordered, value)
        if len(ordered) > _WINDOW:
            del ordered[bisect_left(ordered, self._values.popleft())]
        return "spike" if spike else None

    def _is_spike(self, value: float) -> bool:
        """Tells whether a value is far above mean and deviation without the largest tenth, so that a spike does not hide the
        next. None of so few values lies so many of their deviations above their mean: one that is not above them all need not
        come here."""
        least = self._ordered[0]
        # The mean is not below the least, nor the deviation below its bound: values that rise slowly come here each time.
        if value <= least + _SPIKE_DEVIATIONS * abs(least) * _LEAST_SHARE:
            return False
        calm = self._ordered[: math.ceil(len(self._ordered) * 0.9)]
        mean = sum(calm) / len(calm)
        variance = sum((one - mean) ** 2 for one in calm) / len(calm)
        return value > mean + _SPIKE_DEVIATIONS * max(math.sqrt(variance), abs(mean) * _LEAST_SHARE)
