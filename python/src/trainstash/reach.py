"""State that the loop reaches and its text does not show: what functions, methods, hooks and data sets keep for themselves. All of it is
marked in the first round and again at a checkpoint; what is another then starts again on a resume."""

from __future__ import annotations

import collections
import functools
import queue
import random
import sys
import types
import warnings
import weakref
from types import FunctionType, ModuleType
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, Mapping, Optional, Set, Tuple

from . import rng
from .array_marks import is_array, is_tensor, mark_of_array, quietly
from .caches import depends_on_state
from .script import is_ours, is_users
from .steadiness import globals_read, names_read

_PLAIN = (int, float, complex, str, bytes, bytearray, bool, range, type(None))
_SEQUENCES = (list, tuple, collections.deque)
# Attributes of a library's objects that hold what a script gave them.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
_MOST_NODES = 5_000
_MOST_ITEMS = 200
_DEPTH = 10
_BYTES = 1 << 16

Marks = Dict[str, Any]


class Reach:
    """The marks of all that some objects reach.

    Args:
        is_covered: Tells objects that a checkpoint holds with all they have, or that have nothing to do with the training.
        is_tracked: Tells objects whose ``state_dict`` a checkpoint holds; what that leaves out is marked.
        skipped: Names that are judged elsewhere.
        read: Attributes that are read by what stands in no function.
        mark: Marks an object of another framework, which is not looked into; None for any other.
    """

    def __init__(
        self, is_covered: Callable[[Any], bool], is_tracked: Callable[[Any], bool] = lambda _: False, skipped: FrozenSet[str] = frozenset(),
        read: FrozenSet[str] = frozenset(), mark: Callable[[Any], Any] = lambda _: None,
    ) -> None:  # fmt: skip
        self.marks: Marks = {}
        #: User functions that were reached.
        self.functions: List[FunctionType] = []
        self._is_covered = is_covered
        self._is_tracked = is_tracked
        self._skipped = skipped
        self._mark = mark
        self._seen: Set[int] = set()
        self._read: Set[str] = set(read)
        # The attributes that were found, and the objects that were looked into.
        self._of_objects: Dict[str, str] = {}
        self._owners: Set[str] = set()
        # Functions of cached properties, and those with a cache beside the number of values in it.
        self._properties: Dict[str, Any] = {}
        self._caches: Dict[str, Tuple[Any, int]] = {}

    def root(self, name: str, value: Any) -> None:
        """Marks what a name of the loop reaches; its own value and its items are judged by the text, if that changes them."""
        if isinstance(value, (*_SEQUENCES, dict)):
            if name not in self._skipped:
                self.walk(name, value, 0)
            elif not self._is_covered(value) and not self._is_tracked(value):
                self._seen.add(id(value))
                for key, item in _items(value):
                    if not isinstance(item, _PLAIN):
                        self.walk(f"{name}[{key!r}]", item, 1)
        elif isinstance(value, ModuleType):
            for inner, item in self._of_module(name, value):
                self.walk(inner, item, 1)
        elif isinstance(value, _PLAIN) or not is_array(value):
            # The text of a loop tells nothing of what it sets inside of a network.
            self.walk(name, value, 0, is_judged=name in self._skipped and not _is_of_torch(value))

    def walk(self, name: str, value: Any, depth: int, is_judged: Optional[bool] = None) -> None:
        """Marks a value and all that it reaches."""
        if (name in self._skipped if is_judged is None else is_judged) or depth > _DEPTH or len(self._seen) > _MOST_NODES:
            return
        if isinstance(value, _PLAIN):
            self.marks[name] = repr(value) if not isinstance(value, (str, bytes)) else hash(value)
            return
        if type(value).__module__.partition(".")[0] == "trainstash":
            return
        if id(value) in self._seen or self._is_covered(value) or (rng.is_generator(value) and rng.is_of_library(value)):
            return
        if (rng.is_generator(value) or isinstance(value, dict) or is_array(value)) and self._is_tracked(value):
            return
        self._seen.add(id(value))
        foreign = self._mark(value)
        if foreign is not None:
            self.marks[name] = foreign
            return
        mark = _mark_of(value)
        if mark is not None:
            self.marks[name] = mark
        for inner, part in self._parts(name, value):
            self.walk(inner, part, depth + 1)

    def changed_since(self, before: Reach) -> List[str]:
        """Names what is another than in an earlier look, as far as anything reads it."""
        found = [name for name, mark in self.marks.items() if before.marks.get(name, mark) != mark or self._is_new(name, before)]
        found = [name for name in found if self._of_objects.get(name) is None or self._of_objects[name] in self._read]
        others = [name for name in found if self._of_objects.get(name) not in self._properties]
        changed = [*others, *self._skipped]
        properties = [name for name in found if name not in others and depends_on_state(self._properties[self._of_objects[name]], self._is_tracked, changed)]
        filled = [name for name, (_, size) in self._caches.items() if name in before._caches and before._caches[name][1] != size]
        return [*others, *properties, *(name for name in filled if depends_on_state(self._caches[name][0], self._is_tracked, changed))]

    # ---- inside ----

    def _is_new(self, name: str, before: Reach) -> bool:
        """Tells whether an object that was there got this attribute since."""
        return name in self._of_objects and name not in before.marks and name.rpartition(".")[0] in before._owners

    def _parts(self, name: str, value: Any) -> Iterator[Tuple[str, Any]]:
        if isinstance(value, FunctionType):
            if is_users(value.__code__.co_filename) and not is_ours(value.__code__):
                yield from self._of_function(name, value)
            elif isinstance(getattr(value, "__wrapped__", None), FunctionType):
                # A decorator of a library, such as the one that torch puts around the step of each optimizer.
                yield name, vars(value)["__wrapped__"]
        elif isinstance(value, functools.partial):
            yield from ((f"{name}.func", value.func), (f"{name}.args", value.args), (f"{name}.keywords", value.keywords))
        elif isinstance(value, (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)):
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, ModuleType):
                yield (name.rpartition(".")[0] or name, owner)
            if isinstance(value, types.MethodType):
                yield name, value.__func__
        elif isinstance(value, (staticmethod, classmethod)):
            yield name, value.__func__
        elif isinstance(value, property):
            yield from ((name, one) for one in (value.fget, value.fset) if one is not None)
        elif isinstance(value, functools.cached_property):
            self._properties[name.rpartition(".")[2]] = value.func
            yield name, value.func
        elif has(value, "cache_info") and has(value, "__wrapped__"):
            self._caches[name] = (value.__wrapped__, value.cache_info().currsize)
            yield name, value.__wrapped__
        elif isinstance(value, (*_SEQUENCES, dict)):
            yield from ((f"{name}[{key!r}]", item) for key, item in _items(value))
        elif isinstance(value, weakref.ref):
            yield f"{name}()", value()
        elif isinstance(value, queue.Queue):
            yield f"{name}.queue", value.queue
        elif isinstance(value, type):
            yield from self._of_class(value)
        elif not isinstance(value, ModuleType) and not rng.is_generator(value) and not is_array(value):
            yield from self._of_object(name, value)

    def _of_function(self, name: str, function: FunctionType) -> Iterator[Tuple[str, Any]]:
        self.functions.append(function)
        self._read |= names_read(function.__code__)
        spaces = function.__globals__
        for one in sorted(globals_read(function.__code__)):
            if one in spaces:
                value = spaces[one]
                if isinstance(value, ModuleType):
                    yield from self._of_module(one, value)
                elif one not in self._skipped:
                    yield one, value
        for one, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            if _is_filled(cell):
                yield f"{one} of {function.__qualname__}", cell.cell_contents
        yield f"the defaults of {function.__name__}", function.__defaults__
        yield f"the defaults by name of {function.__name__}", function.__kwdefaults__
        self._owners.add(function.__name__)
        for key, item in function.__dict__.items():
            if key != "__wrapped__":
                self._of_objects[f"{function.__name__}.{key}"] = key
                yield f"{function.__name__}.{key}", item

    def _of_module(self, name: str, module: ModuleType) -> Iterator[Tuple[str, Any]]:
        path = getattr(module, "__file__", None)
        if path is not None and is_users(path):
            for key, item in sorted(vars(module).items()):
                if not key.startswith("__") and isinstance(item, (*_PLAIN, list, dict)):
                    yield f"{name}.{key}", item

    def _of_class(self, cls: type) -> Iterator[Tuple[str, Any]]:
        for one in cls.__mro__:
            if is_users_class(one):
                for key, item in sorted(vars(one).items(), key=lambda pair: pair[0]):
                    if not key.startswith("__") or isinstance(item, FunctionType):
                        self._of_objects[f"{one.__name__}.{key}"] = key
                        yield f"{one.__name__}.{key}", item

    def _of_object(self, name: str, value: Any) -> Iterator[Tuple[str, Any]]:
        own = is_users_class(type(value)) or isinstance(value, types.SimpleNamespace)
        is_tracked = self._is_tracked(value)
        attributes = dict(_own(value))
        if own:
            yield f"the class of {name}", type(value)
            if is_tracked and hasattr(type(value), "state_dict") and not _is_of_torch(value):
                return
            slots = [slot for one in type(value).__mro__ for slot in _slots_of(one)]
            attributes.update(_filled(value, slots))
        if _is_of_torch(value):
            yield from self._of_torch(name, value, attributes, is_tracked)
            return
        again = _set_again(type(value)) if own else frozenset()
        self._owners.add(name)
        for key, item in sorted(attributes.items()):
            if key in again or f"{name}.{key}" in self._skipped:
                continue
            if own or not isinstance(item, (*_PLAIN, *_SEQUENCES, dict)) or key in ("datasets", "transforms"):
                self._of_objects[f"{name}.{key}"] = key
                if isinstance(value, types.SimpleNamespace):
                    self._read.add(key)
                yield f"{name}.{key}", item

    def _of_torch(self, name: str, value: Any, attributes: Mapping[str, Any], is_tracked: bool) -> Iterator[Tuple[str, Any]]:
        """Lists what the ``state_dict`` of a network, an optimizer or a schedule leaves out; all of it for one that is not tracked."""
        if not is_tracked:
            yield from ((f"{name}.{key}", attributes[key]) for key in ("param_groups", "last_epoch") if key in attributes)
            for held in ("_parameters", "_buffers"):
                yield from ((f"{name}.{key}", item) for key, item in (attributes.get(held) or {}).items())
        for key in _HOOKS:
            yield from _each(f"{name}.{key}", (attributes.get(key) or {}).values())
        for key, parameter in (attributes.get("_parameters") or {}).items():
            yield from _each(f"{name}.{key}'s hooks", (getattr(parameter, "_backward_hooks", None) or {}).values())
        temporary = attributes.get("_non_persistent_buffers_set") or ()
        yield from ((f"{name}.{key}", item) for key, item in (attributes.get("_buffers") or {}).items() if key in temporary)
        yield from ((f"{name}.{key}", item) for key, item in (attributes.get("_modules") or {}).items())
        for key in ("lr_lambdas", "lr_lambda"):
            given = attributes.get(key) or []
            # A schedule saves the attributes of an object that it calls, and nothing of a function.
            called = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, types.FunctionType) or not is_tracked]
            yield from _each(f"{name}.lr_lambdas", called)
        if isinstance(value, _kinds_of_torch()[0]) and not _has_extra_state(type(value)):
            own = is_users_class(type(value))
            for key, item in sorted(attributes.items()):
                counts = own or isinstance(item, (bool, int, float)) or (not is_tracked and is_tensor(item))
                if counts and not key.startswith("_") and key != "training":
                    yield f"{name}.{key}", item
        elif is_users_class(type(value)) and not is_tracked_state(value, attributes):
            inherited = _inherited_attributes(type(value))
            self._owners.add(name)
            for key, item in sorted(attributes.items()):
                if key not in inherited and isinstance(item, (bool, int, float, list, dict)):
                    self._of_objects[f"{name}.{key}"] = key
                    yield f"{name}.{key}", item
            for cls in filter(is_users_class, type(value).__mro__):
                yield from ((f"{cls.__name__}.{key}", item) for key, item in vars(cls).items() if isinstance(item, (bool, int, float, list, FunctionType)))


def _each(name: str, values: Iterable[Any]) -> Iterator[Tuple[str, Any]]:
    """Lists values without a list of them: the next such list would have its identity, and pass for seen."""
    for i, value in enumerate(list(values)):
        yield f"{name}[{i}]", value


def is_tracked_state(value: Any, attributes: Mapping[str, Any]) -> bool:
    """Tells whether an object's class says itself what its state is: all attributes of a schedule are state."""
    return any("state_dict" in vars(cls) for cls in type(value).__mro__ if is_users_class(cls)) or "last_epoch" in attributes


def _inherited_attributes(cls: type) -> FrozenSet[str]:
    return frozenset(("state", "param_groups", "defaults", *(key for one in cls.__mro__ if not is_users_class(one) for key in vars(one))))


def _has_extra_state(cls: type) -> bool:
    return any("get_extra_state" in vars(one) for one in cls.__mro__ if is_users_class(one))


def has(value: Any, name: str) -> bool:
    """Tells whether a value has an attribute, and never runs the ``__getattr__`` of a user's class."""
    cls: type = type(value)
    return _class_has(cls, name) or name in _own(value)


@functools.lru_cache(maxsize=4096)
def _class_has(cls: type, name: str) -> bool:
    return any(name in vars(one) for one in cls.__mro__)


def _own(value: Any) -> Mapping[str, Any]:
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return attributes if isinstance(attributes, dict) else {}


def _filled(value: Any, slots: List[str]) -> Iterator[Tuple[str, Any]]:
    for slot in slots:
        try:
            yield slot, object.__getattribute__(value, slot)
        except AttributeError:
            continue


def _items(value: Any) -> List[Tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [(key, item) for _, (key, item) in zip(range(_MOST_ITEMS), items)]


def _mark_of(value: Any) -> Any:
    """Returns a mark that is another one once the value itself has changed; None for one that consists of others."""
    if isinstance(value, random.SystemRandom):
        return object()
    if rng.is_generator(value):
        return quietly(lambda: rng.fingerprint_of(value))
    if is_array(value):
        return mark_of_array(value)
    if isinstance(value, (*_SEQUENCES, dict)):
        return len(value)
    if isinstance(value, (set, frozenset)):
        return len(value)
    if has(value, "random_raw") or type(value).__name__ == "array":
        return quietly(lambda: repr(value.state if has(value, "random_raw") else value.tobytes()))
    if type(value).__name__ == "ContextVar":
        return quietly(lambda: repr(value.get(None)))
    if type(value).__name__ == "Connection" and has(value, "total_changes"):
        return value.total_changes
    if has(value, "gi_frame"):
        return value.gi_frame.f_lasti if value.gi_frame is not None and not is_ours(value.gi_code) else -1
    if has(value, "_num_yielded"):
        return value._num_yielded
    if has(value, "__next__") and type(value).__module__ in ("itertools", "builtins"):
        return _of_iterator(value)
    if has(value, "tell") and has(value, "readable"):
        return quietly(lambda: value.tell() if value.readable() else None)
    return None


def _of_iterator(value: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reduced = quietly(lambda: value.__reduce__())
    if not isinstance(reduced, tuple):
        return repr(value)
    plain = [one if isinstance(one, (*_PLAIN, tuple)) else type(one).__name__ for one in reduced[1:]]
    # A cycle says how far it is by the iterator that it reads.
    inner = reduced[1][0] if isinstance(reduced[1], tuple) and reduced[1] and hasattr(reduced[1][0], "__reduce__") else None
    place = _of_iterator(inner) if inner is not None and hasattr(inner, "__next__") else None
    return (hash(repr(plain)[:_BYTES]) if place is None else 0, place)


def _kinds_of_torch() -> Tuple[Any, ...]:
    torch = sys.modules.get("torch")
    if torch is None:
        return ((), ())
    return (torch.nn.Module, (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler if hasattr(torch.optim.lr_scheduler, "LRScheduler") else ()))


def _is_of_torch(value: Any) -> bool:
    module, others = _kinds_of_torch()
    return isinstance(value, (module, *(others or ())))


def is_users_class(cls: type) -> bool:
    """Tells whether the script made a class, and no installed package."""
    if cls.__module__ == "__main__":
        return True
    path: Optional[str] = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return cls.__module__ != "builtins" and path is not None and is_users(path) and not cls.__module__.startswith("trainstash")


def _set_again(cls: type) -> FrozenSet[str]:
    from .understood import set_for_each_epoch

    return set_for_each_epoch(cls)


def _slots_of(cls: type) -> Tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return tuple(slot for slot in ((slots,) if isinstance(slots, str) else slots) if slot not in ("__dict__", "__weakref__"))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
