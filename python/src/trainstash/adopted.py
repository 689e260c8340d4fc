"""Objects of frameworks other than torch, wrapped so that a run tracks them like any other."""

from __future__ import annotations

import sys
from typing import Any, List, Mapping, Optional


class Adopted:
    """One object, with its state as ``arrayfile`` holds it."""

    #: Its kind of ingredient.
    kind = "other"

    def __init__(self, value: Any) -> None:
        #: The script's own object.
        self.value = value

    @property
    def is_vital(self) -> bool:
        """Tells whether nothing can be resumed without this object."""
        return self.kind in ("weights", "optimizer")

    def is_idle(self) -> bool:
        """Tells whether the object does nothing, such as a scaler that is off."""
        return False

    def mark(self) -> Any:
        """Returns a value that differs once the object has changed; None for an object that changes whenever it is used."""
        return None

    def parts(self) -> List[Any]:
        """Its tensors, for finding out whether another object has them."""
        return []

    def state_dict(self) -> Any:
        """Copies the state."""
        raise NotImplementedError

    def check(self, name: str, saved: Any) -> None:
        """Looks whether a saved state fits. Raises ResumeError; nothing is changed."""

    def load_state_dict(self, saved: Any) -> None:
        """Loads what ``check`` found to fit."""
        raise NotImplementedError


def adopt(value: Any, objects: Mapping[str, Any]) -> Optional[Adopted]:
    """Dresses an object of a framework that can be kept; None for any other.

    Args:
        value: The object to be tracked.
        objects: All that is tracked, also what will be.
    """
    if "paddle" in sys.modules:
        from .paddle_tracked import adopt as adopt_paddle

        return adopt_paddle(value, objects)
    return None


def own_of(value: Any) -> Any:
    """Returns the script's object behind a tracked one."""
    return value.value if isinstance(value, Adopted) else value
