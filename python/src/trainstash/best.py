"""The choice of the best checkpoint: judged by the metrics of its own epoch, and of the weights that were validated."""

from __future__ import annotations

from typing import Mapping, Optional

from .gradients import Gradients, Mark
from .numbers import is_better


class Best:
    """A wait, from the moment that a value is logged until a checkpoint can be taken of the state that it belongs to."""

    def __init__(self, monitor: Optional[Mapping[str, str]], gradients: Gradients) -> None:
        self.monitor = monitor
        self.value: Optional[float] = None
        self._gradients = gradients
        self._mark: Optional[Mark] = None

    def judge(self, values: Mapping[str, float]) -> bool:
        """Tells whether these values are better than all before them."""
        if self.monitor is None:
            return False
        value = values.get(self.monitor["metric"])
        if value is None or not is_better(self.monitor, value, self.value):
            return False
        self.value = value
        self._mark = self._gradients.mark()
        return True

    @property
    def is_waiting(self) -> bool:
        return self._mark is not None

    def is_of_these_weights(self) -> bool:
        """Tells whether nothing was trained since the value was logged."""
        return self._mark is not None and not self._gradients.were_touched_since(self._mark)

    def taken(self) -> None:
        """Stops waiting: a checkpoint of the best value is on its way."""
        self._mark = None

    def give_up(self) -> None:
        """Its weights were trained on before a checkpoint could be taken."""
        self._mark = None
