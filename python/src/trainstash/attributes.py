"""The attributes of a script's objects, and those that have changed since the training began: counters, lists of outputs, sums.
Nobody asks for these with a ``state_dict``."""

from __future__ import annotations

import collections
import hashlib
import os
import types
from typing import Any, Callable, Dict, List, Mapping, Tuple

from . import rng
from .codec import NOTHING, Walk

_DEPTH = 5
# Objects that are looked into for one attribute.
_MOST_NODES = 400
# So many items of a long list are looked at, at each end.
_ENDS = 50
_SMALL_BYTES = 1 << 20
_FIXED = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type)

Values = Dict[str, Dict[str, Any]]


class Attributes:
    """The attributes of some named objects, as they are when this is made.

    Args:
        owners: The objects.
        is_left_out: Tells attributes that are no state of the script: those of the framework.
    """

    def __init__(self, owners: Mapping[str, Any], is_left_out: Callable[[Any, str], bool]) -> None:
        self._owners = dict(owners)
        self._is_left_out = is_left_out
        self._before = {(owner, name): _mark(value) for owner, name, value in self._all()}

    def changed(self) -> Tuple[Values, List[Tuple[str, str, str]]]:
        """Collects what has changed.

        Returns:
            The values by object and attribute, and what cannot be kept: object, attribute, and why.
        """
        kept: Values = {}
        lost: List[Tuple[str, str, str]] = []
        for owner, name, value in self._all():
            mark = _mark(value)
            if self._before.get((owner, name)) == mark:
                continue
            if rng.is_generator(value):
                continue  # Kept with the other random numbers.
            walk = Walk()
            planned = walk.plan({name: value})
            if walk.lost:
                lost.append((owner, name, walk.lost[0][1]))
            elif planned.get(name, NOTHING) is not NOTHING:
                kept.setdefault(owner, {})[name] = value
        return kept, lost

    def all(self) -> Dict[str, Any]:
        """Returns the attributes, each by the name of its object and its own."""
        return {f"{owner}.{name}": value for owner, name, value in self._all()}

    def generators(self) -> Dict[str, Any]:
        """Returns the random generators that belong to the objects."""
        return {f"{owner}.{name}": value for owner, name, value in self._all() if rng.is_generator(value)}

    def put_back(self, values: Values, device: Any) -> None:
        """Gives the objects what a checkpoint holds. Tensors go where those are that they replace, others to ``device``."""
        for owner, attributes in values.items():
            target = self._owners.get(owner)
            if target is None:
                continue
            for name, value in attributes.items():
                setattr(target, name, _moved(value, _device_of(getattr(target, name, None)) or device))

    def _all(self) -> List[Tuple[str, str, Any]]:
        found = []
        for owner, target in self._owners.items():
            for name, value in list(getattr(target, "__dict__", {}).items()):
                if not self._is_left_out(target, name):
                    found.append((owner, name, value))
        return found


def _mark(value: Any) -> Any:
    """Returns something that differs when the value does. What is too large or too deep is seen in parts."""
    return _Marker().mark(value, 0)


class _Marker:
    def __init__(self) -> None:
        self._seen: Dict[int, int] = {}

    def mark(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
            return (type(value).__name__, repr(value))
        if isinstance(value, _FIXED):
            return type(value).__name__
        if id(value) in self._seen:
            return ("again", self._seen[id(value)])
        self._seen[id(value)] = len(self._seen)
        if rng.is_generator(value):
            return ("generator", rng.fingerprint_of(value))
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            return _mark_of_array(value)
        if depth > _DEPTH or len(self._seen) > _MOST_NODES or _is_machinery(value):
            return type(value).__name__
        if isinstance(value, Mapping):
            return ("mapping", len(value), [(repr(key), self.mark(item, depth + 1)) for key, item in _ends(list(value.items()))])
        if isinstance(value, (set, frozenset)):
            return ("set", len(value), [repr(item) for item in _ends(sorted(value, key=repr))])
        if isinstance(value, (list, tuple, collections.deque)):
            return ("sequence", len(value), [self.mark(item, depth + 1) for item in _ends(list(value))])
        inside = getattr(value, "__dict__", None)
        if isinstance(inside, dict):
            return (type(value).__name__, [(name, self.mark(item, depth + 1)) for name, item in _ends(list(inside.items()))])
        return type(value).__name__


def _mark_of_array(value: Any) -> Any:
    """Marks an array: a small one by its bytes; a large one, or one on a device, by its identity and its version. Such an array
    is held, so that no other array gets its place in memory."""
    try:
        on_device = getattr(getattr(value, "device", None), "type", "cpu") != "cpu"
        size = int(value.nbytes)
        if on_device or size > _SMALL_BYTES:
            return ("array", _Held(value), getattr(value, "_version", None))
        data = value.tobytes() if hasattr(value, "tobytes") else _bytes_of(value)
        return ("array", str(value.dtype), tuple(value.shape), hashlib.blake2b(data, digest_size=12).hexdigest())
    except Exception:
        return ("array", _Held(value), getattr(value, "_version", None))


def _bytes_of(tensor: Any) -> bytes:
    import torch

    return bytes(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())


class _Held:
    """An object that counts as equal to itself alone."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


def _is_machinery(value: Any) -> bool:
    """Tells what a framework keeps by itself: models, optimizers, loaders, and what is written to."""
    kind = type(value)
    names = {cls.__name__ for cls in kind.__mro__}
    if names & {"Module", "Optimizer", "LRScheduler", "DataLoader", "Trainer", "Logger", "IOBase", "Lock", "Thread"}:
        return True
    return isinstance(value, os.PathLike) or kind.__module__.partition(".")[0] in ("logging", "threading", "tqdm", "rich", "_io")


def _ends(items: List[Any]) -> List[Any]:
    return items if len(items) <= 2 * _ENDS else [*items[:_ENDS], *items[-_ENDS:]]


def _device_of(value: Any) -> Any:
    return getattr(value, "device", None) if hasattr(value, "dtype") else None


def _moved(value: Any, device: Any) -> Any:
    if hasattr(value, "to") and hasattr(value, "device"):
        return value if device is None else value.to(device)
    if type(value) is dict:
        return {key: _moved(item, device) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_moved(item, device) for item in value)
    return value
