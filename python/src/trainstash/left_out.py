"""The batches that a rollback leaves out, so that a training does not meet the ones again that led to trouble."""

from __future__ import annotations

from typing import Any, Mapping, Set

from .data import Batches

NOT_LEFT_OUT = (
    "The batches that this rollback was to leave out were trained on: the package does not see how the data is read here. "
    "With `for batch in run.batches(loader)` it does."
)


class LeftOut:
    """The batches to leave out, and their place: before the first one that a loop over the training data is given."""

    def __init__(self, count: int, of_steps: bool) -> None:
        self._count = count
        self._of_steps = of_steps
        #: They are still to be left out.
        self.is_due = count > 0
        # Batches of a step, as far as the checkpoint shows it.
        self._per_step = 1.0
        # The loaders that the checkpoint stands in; empty: it stands between two epochs, or there is none.
        self._keys: Set[str] = set()

    def resume(self, own: Mapping[str, Any]) -> None:
        """Takes from a checkpoint which loader is trained on, and how many batches a step takes."""
        passes = own.get("passes") or []
        self._keys = {str(one["key"]) for one in passes}
        steps = int(own.get("steps_in_epoch") or 0)
        taken = max((int(one.get("taken", one["batch"])) for one in passes), default=0)
        if steps > 0 and taken > steps:
            self._per_step = taken / steps

    def begins_at(self, loader: Batches) -> None:
        """Leaves them out of the pass that begins now, if they are due and it is one over the training data."""
        if self.is_due and not loader.is_over and (not self._keys or loader.place.key in self._keys):
            loader.leave_out(self.take(self._per_step))

    def take(self, per_step: float) -> int:
        """Returns the number of batches to leave out, and notes that it is done; ``per_step``: the batches of a step."""
        self.is_due = False
        return round(self._count * per_step) if self._of_steps else self._count


def left_out_of(launch: Mapping[str, Any]) -> LeftOut:
    """Reads from a launch what it leaves out."""
    skip = launch.get("skip")
    return LeftOut(int(skip["count"]), skip["unit"] == "steps") if skip else LeftOut(0, of_steps=False)
