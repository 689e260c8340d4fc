"""State of objects beside a model that no framework keeps: callbacks, and what a subclass of a trainer counts. Attributes are
looked at twice, when training begins and at a checkpoint: those that have changed are state."""

from __future__ import annotations

import collections
import io
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Collection, Dict, List, Mapping, Tuple

from . import generators, rng, special
from .stateful import is_stateful

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_CONTAINERS = (list, tuple, set, frozenset, collections.deque)
# Packages whose objects show and record, and compute nothing.
_SHOWS = ("tqdm", "logging", "tensorboard", "tensorboardX", "wandb", "mlflow", "rich", "aim", "clearml", "comet_ml", "neptune", "matplotlib")
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
_DEPTH = 5
_MOST_ITEMS = 10_000
_MOST_BYTES = 16 << 20

#: A part that no checkpoint can hold: its name, and why, as a clause.
Refused = Tuple[str, str]


class Beside:
    """One object, as it was when training began.

    Args:
        owner: The object itself.
        kept: Objects that are kept elsewhere, such as the model.
        ignored: Names of attributes that somebody else puts back.
    """

    def __init__(self, owner: Any, kept: Collection[Any], ignored: Collection[str] = ()) -> None:
        self.owner = owner
        self._kept = {id(one) for one in kept if one is not None}
        self._ignored = frozenset(ignored)
        self._first = self._marks(owner)

    def state(self) -> Tuple[Dict[str, Any], List[Refused]]:
        """Returns the attributes that have changed since training began, and those among them that cannot be kept."""
        return self._changed(self.owner, self._first, _DEPTH)

    def _changed(self, owner: Any, first: Any, depth: int) -> Tuple[Dict[str, Any], List[Refused]]:
        state: Dict[str, Any] = {}
        refused: List[Refused] = []
        for name, value in self._attributes(owner):
            before = first.get(name, _ABSENT) if isinstance(first, dict) else _ABSENT
            if self._mark(value, _DEPTH) == before:
                continue
            kind = _kind(value)
            if kind == "object" and depth > 0:
                inside, bad = self._changed(value, _inside(before), depth - 1)
                refused += [(f"{name}.{one}", why) for one, why in bad]
                if inside:
                    state[name] = {"kind": kind, "value": inside}
            elif kind == "unknown" or depth == 0:
                refused.append((name, special.why_not(value)))
            elif kind != "show":
                try:
                    state[name] = {"kind": kind, "value": _taken(kind, value)}
                except Exception as error:
                    refused.append((name, special.short(error)))
        return state, refused

    def _attributes(self, owner: Any) -> List[Tuple[str, Any]]:
        top = owner is self.owner
        found = list(getattr(owner, "__dict__", {}).items())
        return [(name, value) for name, value in found if id(value) not in self._kept and not (top and name in self._ignored)]

    def _marks(self, owner: Any, depth: int = _DEPTH) -> Dict[str, Any]:
        return {name: self._mark(value, depth) for name, value in self._attributes(owner)}

    def _mark(self, value: Any, depth: int) -> Any:
        """Returns something that is equal as long as the value has not changed."""
        if isinstance(value, _PLAIN):
            return type(value), value
        kind = _kind(value)
        if kind == "generator":
            return kind, id(value), rng.fingerprint_of(value)
        if kind == "value":
            return self._mark_of_value(value, depth)
        if kind == "stateful":
            return kind, id(value), _version_of(value)
        if kind == "object" and depth > 0:
            return kind, id(value), self._marks(value, depth - 1)
        return kind, id(value)

    def _mark_of_value(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            if len(value) > _MOST_ITEMS or depth == 0:
                return dict, len(value)
            return dict, [(_plain_key(key), self._mark(item, depth - 1)) for key, item in value.items()]
        if isinstance(value, _CONTAINERS):
            if len(value) > _MOST_ITEMS or depth == 0:
                return type(value), len(value)
            marks = [self._mark(item, depth - 1) for item in value]
            return type(value), sorted(map(repr, marks)) if isinstance(value, (set, frozenset)) else marks
        if hasattr(value, "_version"):
            return "tensor", id(value), int(value._version)
        if not hasattr(value, "nbytes"):
            return type(value), repr(value)
        return "array", str(value.dtype), value.shape, value.tobytes() if value.nbytes <= _MOST_BYTES else id(value)


_ABSENT = object()


def _inside(mark: Any) -> Any:
    return mark[2] if isinstance(mark, tuple) and len(mark) == 3 and mark[0] == "object" else {}


def _kind(value: Any) -> str:
    """Sorts a value into one of the kinds value, generator, stateful, object, show, unknown."""
    if isinstance(value, (*_PLAIN, dict, *_CONTAINERS)) or _is_array(value) or special.reduce(value) is not None:
        return "value"
    if hasattr(value, "__next__") and not isinstance(value, io.IOBase):
        return "unknown"
    if isinstance(value, _CODE) or isinstance(value, io.IOBase) or _package(value) in _SHOWS:
        return "show"
    if special.is_generator(value):
        return "generator"
    if is_stateful(value):
        return "stateful"
    if _package(value) in getattr(sys, "stdlib_module_names", ("threading", "queue", "_thread")):
        return "show"
    return "object" if hasattr(value, "__dict__") else "unknown"


def _package(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_array(value: Any) -> bool:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return True
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _plain_key(key: Any) -> Any:
    return key if isinstance(key, _PLAIN) else repr(key)


def _version_of(value: Any) -> Any:
    try:
        if hasattr(value, "parameters") and hasattr(value, "buffers"):
            return [(id(one), one._version) for one in [*value.parameters(), *value.buffers()]]
        return repr(value.state_dict())
    except Exception:
        return None


def _taken(kind: str, value: Any) -> Any:
    if kind == "generator":
        return generators.state_of(value)
    return value.state_dict() if kind == "stateful" else value


def put_into(owner: Any, saved: Mapping[str, Any]) -> List[Refused]:
    """Puts back what ``Beside.state`` gave. Returns what could not be put back."""
    refused: List[Refused] = []
    for name, one in saved.items():
        present = getattr(owner, name, None)
        try:
            if one["kind"] == "value":
                _put_value(owner, name, present, one["value"])
            elif present is None:
                raise ValueError("there is no such object now")
            elif one["kind"] == "generator":
                generators.set_state(present, one["value"])
            elif one["kind"] == "stateful":
                present.load_state_dict(one["value"])
            else:
                refused += [(f"{name}.{inner}", why) for inner, why in put_into(present, one["value"])]
        except Exception as error:
            refused.append((name, special.short(error)))
    return refused


def _put_value(owner: Any, name: str, present: Any, value: Any) -> None:
    """Fills a list or a dict that is there: others may hold the same one."""
    if type(present) is type(value) and isinstance(value, (list, collections.deque)) and getattr(value, "maxlen", None) is None:
        present.clear()
        present.extend(value)
    elif type(present) is type(value) and isinstance(value, (dict, set)):
        present.clear()
        present.update(value)
    else:
        setattr(owner, name, value)
