"""Values of a loop that travel with each checkpoint: what ``run.state`` gives, and ``run.vars``."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

_PLAIN = (int, float, str, bytes, bool, type(None))
# Larger tensors and arrays are tracked: they would be copied and written with every checkpoint without anybody's wish.
MAX_BYTES = 1 << 20
_DEPTH = 6


class State:
    """Values by name, read and written as attributes. Made by ``run.state``.

    Example:
        s = run.state(total=0.0, best=None, losses=[])
        s.total += loss.item()
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)

    def __repr__(self) -> str:
        return f"State({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)


class States:
    """All that ``run.state`` gave, by the place in the script where it was called."""

    def __init__(self) -> None:
        self._given: Dict[str, State] = {}
        # The values of a checkpoint, until the loop stands at its place.
        self._saved: Dict[str, Dict[str, Any]] = {}

    def give(self, key: str, values: Mapping[str, Any], restore: bool) -> State:
        """Makes a state. ``restore``: the loop was not entered yet, so that it gets the values of the checkpoint."""
        made = self._given[key] = State(values)
        if restore:
            self._fill(key, made)
        return made

    def owns(self, value: Any) -> bool:
        return any(value is one for one in self._given.values())

    def load(self, saved: Mapping[str, Dict[str, Any]]) -> None:
        self._saved = {key: dict(values) for key, values in saved.items()}

    def put_back(self) -> None:
        """Undoes what was set on the way to the checkpoint's place, at which the loop stands now."""
        for key, made in self._given.items():
            self._fill(key, made)

    def at_place(self) -> None:
        """Stops putting values back: from here on the script's own ones count."""
        self._saved = {key: values for key, values in self._saved.items() if key not in self._given}

    def _fill(self, key: str, made: State) -> None:
        saved = self._saved.get(key)
        if saved is None:
            return
        own = made.__dict__
        # A tensor goes where the script has put the one before it.
        values = {name: value.to(own[name].device) if _both_tensors(value, own.get(name)) else value for name, value in saved.items()}
        own.clear()
        own.update(copied(values))

    def saved(self) -> Tuple[Dict[str, Any], List[Tuple[str, str]]]:
        """Returns what a checkpoint holds, and what it cannot: pairs of a name and a reason."""
        found: Dict[str, Any] = dict(self._saved)
        lost: List[Tuple[str, str]] = []
        for key, made in self._given.items():
            found[key], refused = keepable(made.__dict__)
            lost += refused
        return found, lost


def keepable(values: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[Tuple[str, str]]]:
    """Finds the values that a checkpoint can hold, and the names of the others with the reason."""
    kept: Dict[str, Any] = {}
    lost: List[Tuple[str, str]] = []
    for name, value in list(values.items()):
        reason = _refused(value, 0)
        if reason is None:
            kept[name] = value
        else:
            lost.append((str(name), reason))
    return kept, lost


def copied(value: Any) -> Any:
    """Copies a value that a checkpoint holds: the script may change its own."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(copied(item) for item in value)
    if hasattr(value, "clone"):
        return value.clone()
    return value.copy() if hasattr(value, "dtype") and hasattr(value, "copy") else value


def _both_tensors(a: Any, b: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)


def _refused(value: Any, depth: int) -> Optional[str]:
    if type(value) in _PLAIN:
        return None
    if depth > _DEPTH:
        return "it is nested too deeply"
    if type(value) in (list, tuple, set):
        return next(filter(None, (_refused(item, depth + 1) for item in value)), None)
    if type(value) in (dict, OrderedDict):
        bad = next((key for key in value if not isinstance(key, (str, int, float, bool, tuple, type(None)))), None)
        if bad is not None:
            return f"it has a key that is a {type(bad).__name__}"
        return next(filter(None, (_refused(item, depth + 1) for item in value.values())), None)
    return _refused_array(value)


def _refused_array(value: Any) -> Optional[str]:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.numel() * value.element_size() > MAX_BYTES:
            return "it is a tensor of more than 1 MB; run.track keeps it"
        return None
    if numpy is not None and isinstance(value, numpy.generic):
        return None
    if numpy is not None and isinstance(value, numpy.ndarray):
        if value.dtype.hasobject:
            return "it is an array of objects"
        return "it is an array of more than 1 MB" if value.nbytes > MAX_BYTES else None
    return f"it is a {type(value).__name__}, which no checkpoint can hold"
