"""Objects that give their state and take it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing import TypeGuard


class Stateful(Protocol):
    """An object with the two methods of torch's models, optimizers, schedulers and loaders."""

    def state_dict(self) -> Any:
        """Returns the state: tensors, arrays and plain values."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Takes the state over."""


def is_stateful(value: object) -> TypeGuard[Stateful]:
    """Tells whether an object has both methods. Asks as a call would: a wrapper may pass them on by ``__getattr__``, where a check of the
    protocol at run time does not look."""
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")
