"""The length of a training, as far as its loop tells: with accumulation there are fewer steps than batches."""

from __future__ import annotations

from typing import Optional, Tuple

from .position import Position


# Steps of an epoch after which is looked again, until a whole epoch was counted.
_LOOKS = (1, 2, 4, 8, 16)


class Progress:
    """The number of optimizer steps in an epoch, learned first from the batches between two steps, then from whole epochs."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._per_epoch: Optional[int] = None
        self._is_counted = False
        #: The step at which the script itself stops, where it says so.
        self.last_step: Optional[int] = None
        self._said: Tuple[Optional[int], Optional[int]] = (None, None)

    def stepped(self) -> bool:
        """Takes in an optimizer step that was done. Returns whether there may be news."""
        position = self._position
        if self._is_counted or position.steps_in_epoch not in _LOOKS:
            return False
        opened = position.open
        if opened:
            lengths = [length for length in (loader.length() for loader in opened if loader.stepped) if length is not None]
            between = max(1, round(opened[-1].taken / position.steps_in_epoch)) if position.steps_in_epoch else 1
            self._per_epoch = max(1, min(lengths) // between) if lengths else None
        elif position.inside:
            self._per_epoch = position.steps_in_epoch
        return True

    def epoch_ends(self) -> None:
        """Counts the steps of an epoch whose code has ended, while the next one is not begun."""
        if self._position.steps_in_epoch > 0:
            self._per_epoch = self._position.steps_in_epoch
            self._is_counted = True

    def news(self, steps: int) -> Optional[Tuple[Optional[int], Optional[int]]]:
        """Returns the whole number of steps and that of an epoch, when they have changed."""
        now = (self._total(steps), self._per_epoch)
        if now == self._said:
            return None
        self._said = now
        return now

    def _total(self, steps: int) -> Optional[int]:
        position = self._position
        total = None
        if self._per_epoch and position.planned is not None:
            left = position.base + position.planned - position.epoch
            done = min(position.steps_in_epoch, self._per_epoch) if position.inside else 0
            total = steps + max(0, left * self._per_epoch - done)
        elif self._per_epoch and position.planned is None and any(loader.is_limited for loader in position.open):
            total = steps + self._per_epoch - min(position.steps_in_epoch, self._per_epoch)
        if self.last_step is not None:
            total = self.last_step if total is None else min(total, self.last_step)
        return total
