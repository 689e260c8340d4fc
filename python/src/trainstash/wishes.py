"""The wishes that a script states in ``init``, beside what its launch says."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Union

from .policy import DEFAULT, keep_of, policy_of

_SCHEDULES = (None, "keep", "rebuild")
_KEEP = {"last": 3, "every": None}


class Wishes(NamedTuple):
    """The arguments of ``init`` that are no objects."""

    params: Optional[Mapping[str, Any]] = None
    resume: Optional[str] = None
    schedule: Optional[str] = None
    every: Optional[Union[str, int, float]] = None
    keep: Optional[Union[int, Mapping[str, Any]]] = None
    badge: bool = True

    def check(self) -> None:
        """Raises ValueError for what makes no sense, before anything is begun."""
        if self.schedule not in _SCHEDULES:
            raise ValueError(
                f'schedule={type(self.schedule).__name__} … is no answer; it is "keep" or "rebuild". To track a schedule, give it '
                "another name: init(scheduler=…). Nothing was started."
            )
        if self.every is not None:
            policy_of(self.every)
        if self.keep is not None:
            keep_of(self.keep)


class InForce(NamedTuple):
    """The settings that count for this launch: a job that says something wins over the script, and the script over the defaults."""

    checkpoint: Mapping[str, Any]
    keep: Mapping[str, Any]
    monitor: Optional[Mapping[str, str]]


def in_force(launch: Mapping[str, Any], wishes: Wishes) -> InForce:
    """Merges a launch and the script's wishes; an empty launch is that of a script that was started by hand."""
    stated = launch.get("stated") or []
    checkpoint: Mapping[str, Any] = launch.get("checkpoint") or DEFAULT
    keep: Dict[str, Any] = dict(launch.get("keep") or _KEEP)
    monitor = launch.get("monitor")
    if wishes.every is not None and "every" not in stated:
        checkpoint = {**policy_of(wishes.every), "onBest": checkpoint.get("onBest", True)}
    if wishes.keep is not None:
        own = keep_of(wishes.keep)
        if "keep" not in stated:
            keep = {"last": own["last"], "every": own["every"]}
        monitor = monitor or own["monitor"]
    return InForce(checkpoint, keep, monitor)
