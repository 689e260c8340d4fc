"""Objects of frameworks whose arrays a checkpoint of this package cannot hold: refused at once, with the way that exists."""

from __future__ import annotations

import sys
from typing import Any, Iterator, Optional

_FILES = 'let the script save files by itself and name them in its job in trainstash.json ("checkpoints": "out/*")'
_WAYS = {
    "paddle": f"give its layers, optimizers, schedules, scalers and tensors each by itself, paddle.Model.fit the callback trainstash.paddle(), or {_FILES}",
    "keras": f"give model.fit the callback trainstash.keras(), or {_FILES}",
    "tensorflow": f"give model.fit the callback trainstash.keras(), or {_FILES}",
    "jax": f"give it as NumPy arrays, or {_FILES}",
    "jaxlib": f"give it as NumPy arrays, or {_FILES}",
    "flax": f"give it as NumPy arrays, or {_FILES}",
    "mindspore": _FILES,
    "mlx": _FILES,
    "tinygrad": _FILES,
    "cupy": f"give it as NumPy arrays, or {_FILES}",
}
_MOST_VALUES = 10_000


def refuse(name: str, value: Any) -> None:
    """Looks once at an object that is to be tracked.

    Raises:
        TypeError: It, or an array in its state, belongs to a framework that this package cannot copy.
    """
    culprit = _framework_of(value) or _in_state(value)
    if culprit is not None:
        raise TypeError(
            f"{name} ({type(value).__name__}) holds arrays of {culprit}, which trainstash.init() cannot copy; "
            f"nothing was tracked. Instead: {_WAYS[culprit]}."
        )


def _framework_of(value: Any) -> Optional[str]:
    for kind in type(value).__mro__:
        origin = kind.__module__.partition(".")[0]
        if origin in _WAYS:
            return origin
    return None


def _in_state(value: Any) -> Optional[str]:
    torch = sys.modules.get("torch")
    own = torch is not None and isinstance(value, (torch.nn.Module, torch.optim.Optimizer, torch.Tensor, dict))
    if own or not hasattr(value, "state_dict") or not any(name in sys.modules for name in _WAYS):
        return None
    try:
        state = value.state_dict()
    except Exception:
        return None  # It is asked again, and named, with each checkpoint.
    for number, one in enumerate(_leaves(state, 0)):
        culprit = _framework_of(one)
        if culprit is not None or number > _MOST_VALUES:
            return culprit
    return None


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if depth < 10 and isinstance(value, dict):
        for item in list(value.values()):
            yield from _leaves(item, depth + 1)
    elif depth < 10 and isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item, depth + 1)
    else:
        yield value
