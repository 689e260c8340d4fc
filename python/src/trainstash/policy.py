"""The rule that says when a checkpoint is due."""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Mapping, Optional, Union

#: Checkpoints that nobody asked for at a certain step may cost this share of the training's time.
MAX_SHARE = 0.02
#: The cost of a checkpoint beside the copy: files are synced, and a daemon takes them in.
FIXED_SECONDS = 0.1
#: The policy unless somebody says another: each epoch's end, at least every five minutes, at a share of at most 2 %.
DEFAULT: Mapping[str, Any] = {"everySeconds": 300, "everySteps": None, "everyEpochs": 1, "onBest": True, "share": MAX_SHARE}

_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_ONE = r"\d+(?:\.\d+)?\s*(?:s|m|h|steps?|epochs?)"
_EVERY = re.compile(rf"\s*{_ONE}(?:\s*,\s*{_ONE})*\s*")


def policy_of(every: Union[str, int, float]) -> Dict[str, Any]:
    """Translates ``init(every=…)`` into the words of a launch file.

    Raises:
        ValueError: It is neither a number of seconds nor a text such as "5m", "100 steps" or "1 epoch, 10m".
    """
    policy: Dict[str, Any] = {**DEFAULT, "everySeconds": 0, "everyEpochs": None, "share": None}
    if isinstance(every, (int, float)) and not isinstance(every, bool) and every > 0:
        return {**policy, "everySeconds": float(every)}
    if not isinstance(every, str) or not _EVERY.fullmatch(every):
        raise ValueError(f'every={every!r} is no time between checkpoints; write "5m", "100 steps", "1 epoch", or several with commas')
    for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(steps?|epochs?|s|m|h)", every):
        if unit.startswith("step"):
            policy["everySteps"] = max(1, round(float(number)))
        elif unit.startswith("epoch"):
            policy["everyEpochs"] = max(1, round(float(number)))
        else:
            policy["everySeconds"] = float(number) * _UNIT_SECONDS[unit]
    return policy


def keep_of(keep: Union[int, Mapping[str, Any]]) -> Dict[str, Any]:
    """Translates ``init(keep=…)`` into ``last``, ``every``, and ``monitor`` for the best one.

    Raises:
        ValueError: It is neither a number nor a dict of ``last``, ``every`` and ``best``.
    """
    given = {"last": keep} if isinstance(keep, int) else dict(keep)
    unknown = [name for name in given if name not in ("last", "every", "best")]
    if unknown:
        raise ValueError(f"keep has no {', '.join(map(repr, unknown))}; it has last, every and best")
    for name in ("last", "every"):
        value = given.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"keep: {name}={value!r} is no number of checkpoints; it must be a whole number from 1")
    best = given.get("best")
    return {
        "last": given.get("last") or 3,
        "every": given.get("every"),
        "monitor": None if best is None else _monitor_of(str(best)),
    }


def _monitor_of(text: str) -> Dict[str, str]:
    mode, colon, metric = text.partition(":")
    return {"metric": metric, "mode": mode} if colon and mode in ("min", "max") else {"metric": text, "mode": "min"}


class Policy:
    """The policy of one launch. ``policy`` is the launch file's; without one nothing is ever due."""

    def __init__(self, policy: Mapping[str, Any], step: int) -> None:
        self.seconds = float(policy.get("everySeconds") or 0)
        self._wanted_seconds = self.seconds
        self.steps: Optional[int] = policy.get("everySteps")
        self.epochs: Optional[int] = policy.get("everyEpochs")
        self.on_best = bool(policy.get("onBest", True))
        self._share: Optional[float] = policy.get("share")
        self._began = self._last = time.monotonic()
        self._last_step = step
        # Seconds that checkpoints have cost, and the newest one did.
        self._spent = 0.0
        self._cost = FIXED_SECONDS
        self._epochs_seen = 0

    def due(self, step: int) -> List[str]:
        """Lists why a checkpoint is due at this step."""
        reasons = []
        if self.seconds and time.monotonic() - self._last >= self.seconds and self._is_affordable():
            reasons.append("interval")
        if self.steps and step // self.steps > self._last_step // self.steps:
            reasons.append("steps")
        return reasons

    def next_step(self, step: int) -> Optional[int]:
        """Returns the step at which a checkpoint is due by its number."""
        return (step // self.steps + 1) * self.steps if self.steps else None

    def due_at_epoch(self, epochs_done: int) -> List[str]:
        """Lists why a checkpoint is due at an epoch's end. The first one of a launch always is: it shows whether a resume can work."""
        self._epochs_seen += 1
        if not self.epochs or epochs_done % self.epochs != 0:
            return []
        return ["epoch"] if self._epochs_seen == 1 or self._is_affordable() else []

    def taken(self, step: int, stall_seconds: float) -> None:
        """Notes that a checkpoint was taken, and how long the training waited for it."""
        self._last = time.monotonic()
        self._last_step = step
        self._cost = stall_seconds + FIXED_SECONDS
        self._spent += self._cost
        if self._wanted_seconds and self._share is None:
            self.seconds = max(self._wanted_seconds, stall_seconds / MAX_SHARE)

    def _is_affordable(self) -> bool:
        return self._share is None or self._spent + self._cost <= self._share * (time.monotonic() - self._began)
