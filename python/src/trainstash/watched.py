"""Attributes of a framework's and a user's objects that change while they train: counts of callbacks, sums of metrics, a
schedule in a layer. What has changed since the beginning is state; what has not is how the script made the object."""

from __future__ import annotations

import collections
import copy
import io
import logging
import sys
import threading
import types
import weakref
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import generators, rng

_DEEPEST = 4
_MOST = 20_000
_MANY_BYTES = 256 << 20
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
# Objects that a script finds where it has put them: they have no state that a training changes, or none that a file could hold.
_BYSTANDERS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    type,
    io.IOBase,
    logging.Logger,
    logging.Handler,
    threading.Thread,
    weakref.ReferenceType,
    type(threading.Lock()),
)
_MISSING = object()


class _Leaf(NamedTuple):
    """One attribute: its path, its value, and what sets it."""

    path: str
    value: Any
    put: Callable[[Any], None]


class Watched:
    """The watched objects, by name, each from the moment at which it is added.

    Args:
        is_foreign: Tells objects that are kept in another way, or belong to nobody's state: they are not looked into.
        as_plain: Makes a value plain that the framework has, such as a tensor; None for what is none of its own.
        from_plain: Makes the framework's value of what ``as_plain`` gave.
    """

    def __init__(self, is_foreign: Callable[[Any], bool], as_plain: Callable[[Any], Any], from_plain: Callable[[Any], Any]) -> None:
        self._is_foreign = is_foreign
        self._as_plain = as_plain
        self._from_plain = from_plain
        self._objects: Dict[str, Tuple[Any, int]] = {}
        self._before: Dict[str, Any] = {}
        # The values of a checkpoint for objects that are added later.
        self._pending: Dict[str, Any] = {}

    def add(self, name: str, value: Any, depth: int = _DEEPEST) -> None:
        """Watches one more object from now on. ``depth`` 0: its own numbers and texts alone."""
        if name in self._objects:
            return
        self._objects[name] = (value, depth)
        for leaf in self._leaves(name):
            kept = self._kept(leaf.value)
            if kept is not _MISSING:
                self._before[leaf.path] = copy.deepcopy(kept)
                if leaf.path in self._pending:
                    leaf.put(self._pending.pop(leaf.path))

    def state(self) -> Tuple[Dict[str, Any], List[Tuple[str, str]]]:
        """Returns what has changed, by path, and what cannot be kept: pairs of a path and a reason."""
        changed: Dict[str, Any] = {}
        lost: List[Tuple[str, str]] = []
        for name in self._objects:
            for leaf in self._leaves(name):
                kept = self._kept(leaf.value)
                if kept is _MISSING:
                    lost.append((leaf.path, f"an object of the class {type(leaf.value).__name__}, whose state cannot be kept"))
                elif not same(kept, self._before.get(leaf.path, _MISSING)):
                    changed[leaf.path] = kept
        return changed, lost

    def put_back(self, saved: Mapping[str, Any]) -> List[str]:
        """Sets what ``state`` gave, and all else as it was at the beginning; objects that are added later get theirs then.

        Returns:
            Paths of watched objects that are not there any more.
        """
        self._pending = {path: value for path, value in saved.items() if self._owner(path) is None}
        seen = set()
        for name in self._objects:
            for leaf in list(self._leaves(name)):
                seen.add(leaf.path)
                value = saved.get(leaf.path, self._before.get(leaf.path, _MISSING))
                if value is not _MISSING and not same(self._kept(leaf.value), value):
                    leaf.put(value)
        new = [path for path in saved if path not in seen and path not in self._pending]
        return [path for path in new if not self._put_new(path, saved[path])]

    def _put_new(self, path: str, value: Any) -> bool:
        """Puts back an attribute that the object gets while it trains."""
        name = self._owner(path)
        if name is None or "." in path[len(name) + 1 :]:
            return False
        setattr(self._objects[name][0], path[len(name) + 1 :], self._restored(value))
        return True

    def _owner(self, path: str) -> Optional[str]:
        return next((name for name in self._objects if path.startswith(f"{name}.")), None)

    def _leaves(self, name: str) -> Iterator[_Leaf]:
        value, depth = self._objects[name]
        count = 0
        for leaf in self._inside(name, value, depth, []):
            yield leaf
            count += 1
            if count >= _MOST:
                return

    def _inside(self, path: str, value: Any, depth: int, around: List[int]) -> Iterator[_Leaf]:
        around = [*around, id(value)]
        for owner, attributes in _spaces(value):
            for key, item in list(attributes.items()):
                if not isinstance(key, str) or key.startswith("__") or id(item) in around or self._is_bystander(item):
                    continue
                inner = f"{path}.{key}"
                if depth == 0:
                    if isinstance(item, _SCALARS) and type(item) is not bytes:
                        yield _Leaf(inner, item, self._setter(owner, key, item))
                elif self._kept(item) is not _MISSING or not hasattr(item, "__dict__"):
                    yield _Leaf(inner, item, self._setter(owner, key, item))
                elif depth > 1:
                    yield from self._inside(inner, item, depth - 1, around)

    def _is_bystander(self, value: Any) -> bool:
        # Methods and properties, which are found in a class.
        descriptor = hasattr(type(value), "__get__") and not isinstance(value, _SCALARS)
        return descriptor or isinstance(value, _BYSTANDERS) or self._is_foreign(value)

    def _setter(self, owner: Any, key: str, now: Any) -> Callable[[Any], None]:
        def put(value: Any) -> None:
            if rng.is_generator(now):
                generators.set_state(now, value)
            elif not _fill(now, self._restored(value)):
                setattr(owner, key, self._restored(value))

        return put

    def _kept(self, value: Any, depth: int = 0) -> Any:
        """Returns the value as a checkpoint can hold it."""
        if isinstance(value, _SCALARS):
            return value
        if depth > 8:
            return _MISSING
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            return value if value.dtype.kind in "fiub" and value.nbytes <= _MANY_BYTES else _MISSING
        if rng.is_generator(value):
            return generators.state_of(value)
        own = self._as_plain(value)
        if own is not None:
            return own
        if isinstance(value, collections.deque):
            return self._kept(list(value), depth)
        if type(value) in (list, tuple, set):
            items = [self._kept(item, depth + 1) for item in (sorted(value, key=repr) if type(value) is set else value)]
            return _MISSING if any(item is _MISSING for item in items) else type(value)(items)
        if isinstance(value, dict):
            pairs = {key: self._kept(item, depth + 1) for key, item in value.items()}
            plain = all(isinstance(key, (str, int, float, bool)) for key in pairs)
            return pairs if plain and not any(item is _MISSING for item in pairs.values()) else _MISSING
        return _MISSING

    def _restored(self, value: Any) -> Any:
        own = self._from_plain(value)
        if own is not None:
            return own
        if isinstance(value, dict):
            return {key: self._restored(item) for key, item in value.items()}
        if type(value) in (list, tuple, set):
            return type(value)(self._restored(item) for item in value)
        return copy.deepcopy(value)


def _fill(container: Any, value: Any) -> bool:
    """Puts values into the container that is there, which others may hold too. False: it is none, or of another kind."""
    if isinstance(container, (list, collections.deque)) and isinstance(value, list):
        container.clear()
        container.extend(value)
    elif isinstance(container, (dict, set)) and isinstance(value, dict if isinstance(container, dict) else set):
        container.clear()
        container.update(value)
    else:
        return False
    return True


def same(a: Any, b: Any) -> bool:
    """Tells whether two plain values are equal to the bit."""
    if a is _MISSING or b is _MISSING:
        return a is b
    if hasattr(a, "tobytes") or hasattr(b, "tobytes"):
        return bool(type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(repr(a) == repr(b))


def _spaces(value: Any) -> Iterator[Tuple[Any, Mapping[str, Any]]]:
    """Yields the places of an object's attributes: the object itself, and classes of the script's, which may count there."""
    own: Optional[Mapping[str, Any]] = getattr(value, "__dict__", None)
    if own is not None:
        yield value, own
    for kind in type(value).__mro__:
        if kind.__module__ == "__main__":
            yield kind, {key: item for key, item in vars(kind).items() if own is None or key not in own}
