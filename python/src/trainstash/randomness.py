"""Random numbers at the three moments that a resume comes back to."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from . import rng
from .tracked import Tracked


class Randomness:
    """Random numbers at the end of ``init`` in the first launch, at the beginning of the epoch, and now."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._begin: Optional[rng.State] = None
        self._epoch: Optional[rng.State] = None
        self._is_of_older_version = False

    def generators(self) -> Dict[str, Any]:
        """Returns the generator objects that are tracked."""
        return {name: value for name, value in self._tracked.objects.items() if rng.is_generator(value)}

    def resume(self, own: Mapping[str, Any], rank: int) -> None:
        """Goes on with the beginning of the first launch."""
        states = own.get("rng_begin")
        if states is None:
            self._is_of_older_version = True
        elif rank < len(states):
            self._begin = states[rank]
        # A training that is resumed at its end begins no other epoch: its last state is the same then.
        epoch = own.get("rng_epoch", [])
        self._epoch = epoch[rank] if rank < len(epoch) else None

    def begin(self) -> None:
        """Captures the random numbers at the end of ``init``."""
        if self._begin is None and not self._is_of_older_version:
            self._begin = rng.capture(self.generators())

    def epoch_begins(self) -> None:
        self._epoch = rng.capture(self.generators())

    def all(self) -> Dict[str, Any]:
        """Captures the three moments of this process."""
        return {"rng": rng.capture(self.generators()), "rng_epoch": self._epoch, "rng_begin": self._begin}


def of_all(states: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Joins what ``all`` gave on each rank, as a checkpoint holds it."""
    kept = {name: [one[name] for one in states] for name in ("rng", "rng_epoch", "rng_begin")}
    return {name: each for name, each in kept.items() if None not in each}
