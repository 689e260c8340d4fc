"""Samples of the time that the loop waits for its data: where that is much of it, a faster device gains nothing."""

from __future__ import annotations

import time
from typing import Optional

from .data import Batches

#: Shortest time between two samples, and the share of the whole time that one is for: a month makes some 1,500 samples.
_LEAST_SECONDS = 1.0
_SHARE = 0.01


class Waits:
    """Sums up what loaders took for their batches, and writes a sample now and then."""

    def __init__(self, path: Optional[str]) -> None:
        self._path = path
        self._began: Optional[float] = None
        self._since = self._due = 0.0
        self._waited = 0.0

    def received(self, loader: Batches) -> None:
        """Takes in the time that a batch took."""
        waited, loader.waited = loader.waited, 0.0
        if self._path is None:
            return
        now = time.perf_counter()
        if self._began is None:
            self._began = self._since = now - waited
            self._due = now + _LEAST_SECONDS
        self._waited += waited
        if now >= self._due:
            self._write(self._path, now, self._began)

    def _write(self, path: str, now: float, began: float) -> None:
        seconds = now - self._since
        line = f'{{"t":{time.time() * 1000:.0f},"seconds":{seconds:.3f},"waited":{min(self._waited, seconds):.3f}}}\n'
        self._since, self._waited = now, 0.0
        self._due = now + max(_LEAST_SECONDS, _SHARE * (now - began))
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError:
            pass  # A full disk: the sample is lost.
