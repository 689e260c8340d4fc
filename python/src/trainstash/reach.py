"""State that the loop reaches and its text does not show: what functions, methods, hooks and data sets keep for themselves. All of it is
marked in the first round and again at a checkpoint; what is another then starts again on a resume."""

from __future__ import annotations

import functools
import queue
import sys
import threading
import types
import weakref
from types import FunctionType, ModuleType
from typing import Any, Callable, Collection, Dict, FrozenSet, Iterator, List, Optional, Set, Tuple

from . import reach_torch, rng
from .array_marks import is_array
from .caches import depends_on_state
from .library_modules import attributes_of_library
from .object_marks import PLAIN as _PLAIN
from .object_marks import SEQUENCES as _SEQUENCES
from .object_marks import mark_of
from .own_attributes import attributes_of, filled, has, is_users_class, slots_of
from .reading import names_of_bases, reads_any_attribute
from .script import is_ours, is_users
from .steadiness import globals_read, imports_in, names_read
from .told_state import names_of_state

_MOST_NODES = 5_000
_MOST_ITEMS = 200
_DEPTH = 10

Marks = Dict[str, Any]


class Reach:
    """The marks of all that some objects reach.

    Args:
        is_covered: Tells objects that a checkpoint holds with all they have, or that have nothing to do with the training.
        is_tracked: Tells objects whose ``state_dict`` a checkpoint holds; what that leaves out is marked.
        skipped: Names that are judged elsewhere.
        read: Attributes that are read by what stands in no function.
        reads_any: What stands in no function reads attributes by names that its text does not tell.
        mark: Marks an object of another framework, which is not looked into; None for any other.
    """

    def __init__(
        self, is_covered: Callable[[Any], bool], is_tracked: Callable[[Any], bool] = lambda _: False, skipped: FrozenSet[str] = frozenset(),
        read: FrozenSet[str] = frozenset(), mark: Callable[[Any], Any] = lambda _: None, reads_any: bool = False,
    ) -> None:  # fmt: skip
        self.marks: Marks = {}
        #: User functions that were reached.
        self.functions: List[FunctionType] = []
        self._is_covered = is_covered
        self._is_tracked = is_tracked
        self._skipped = skipped
        self._mark = mark
        self._reads_any = reads_any
        self._seen: Set[int] = set()
        self._visits = 0
        self._networks = reach_torch.Networks()
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
            for inner, item in self._of_module(name, value, self._read):
                self.walk(inner, item, 1)
        elif isinstance(value, _PLAIN) or not is_array(value):
            # The text of a loop tells nothing of what it sets inside of a network, or what a `state_dict` leaves out.
            is_judged = name in self._skipped and not reach_torch.is_of_torch(value) and not self._is_tracked(value)
            self.walk(name, value, 0, is_judged)

    def walk(self, name: str, value: Any, depth: int, is_judged: Optional[bool] = None) -> None:
        """Marks a value and all that it reaches."""
        if (name in self._skipped if is_judged is None else is_judged) or depth > _DEPTH or self._visits > _MOST_NODES:
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
        if reach_torch.is_network(value) and self._is_tracked(value):
            for inner, part in self._networks.left_out(name, value, self._seen):
                self.walk(inner, part, depth + 1)
            return
        self._seen.add(id(value))
        self._visits += 1
        foreign = self._mark(value)
        if foreign is not None:
            self.marks[name] = foreign
            return
        mark = mark_of(value)
        if mark is not None:
            self.marks[name] = mark
        for inner, part in self._parts(name, value):
            self.walk(inner, part, depth + 1)

    def changed_since(self, before: Reach) -> List[str]:
        """Names what is another than in an earlier look, as far as anything reads it."""
        found = [name for name, mark in self.marks.items() if before.marks.get(name, mark) != mark or self._is_new(name, before)]
        found += [name for name in self._networks.changed_since(before._networks) if name not in self._skipped]
        found = [name for name in found if self._of_objects.get(name) is None or self._is_read(self._of_objects[name])]
        others = [name for name in found if self._of_objects.get(name) not in self._properties]
        changed = [*others, *self._skipped]
        properties = [name for name in found if name not in others and depends_on_state(self._properties[self._of_objects[name]], self._is_tracked, changed)]
        filled = [name for name, (_, size) in self._caches.items() if name in before._caches and before._caches[name][1] != size]
        return [*others, *properties, *(name for name in filled if depends_on_state(self._caches[name][0], self._is_tracked, changed))]

    # ---- inside ----

    def _is_new(self, name: str, before: Reach) -> bool:
        """Tells whether an object that was there got this attribute since."""
        return name in self._of_objects and name not in before.marks and name.rpartition(".")[0] in before._owners

    def _is_read(self, attribute: str) -> bool:
        return attribute in self._read or self._reads_any or any(map(reads_any_attribute, self.functions))

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
                    yield from self._of_module(one, value, names_read(function.__code__))
                elif one not in self._skipped:
                    yield one, value
        for one in imports_in(function.__code__):
            if one in sys.modules:
                yield from self._of_module(one, sys.modules[one], names_read(function.__code__))
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

    def _of_module(self, name: str, module: ModuleType, read: Collection[str]) -> Iterator[Tuple[str, Any]]:
        path = getattr(module, "__file__", None)
        if path is not None and is_users(path):
            for key, item in sorted(vars(module).items()):
                if not key.startswith("__") and isinstance(item, (*_PLAIN, list, dict)):
                    yield f"{name}.{key}", item
            return
        for owner, attribute, item in attributes_of_library(name, module, read):
            self._owners.add(owner)
            if attribute is not None:
                self._of_objects[f"{owner}.{attribute}"] = attribute
                self._read.add(attribute)
                yield f"{owner}.{attribute}", item

    def _of_class(self, cls: type) -> Iterator[Tuple[str, Any]]:
        if is_users_class(type(cls)):
            yield f"the class of {cls.__name__}", type(cls)
        for one in cls.__mro__:
            if not is_users_class(one):
                self._read |= names_of_bases(one)
            else:
                for key, item in sorted(vars(one).items(), key=lambda pair: pair[0]):
                    if not key.startswith("__") or isinstance(item, FunctionType):
                        self._of_objects[f"{one.__name__}.{key}"] = key
                        yield f"{one.__name__}.{key}", item

    def _of_object(self, name: str, value: Any) -> Iterator[Tuple[str, Any]]:
        own = is_users_class(type(value)) or isinstance(value, (types.SimpleNamespace, threading.local))
        is_tracked, is_of_torch = self._is_tracked(value), reach_torch.is_of_torch(value)
        attributes = dict(attributes_of(value))
        if own:
            yield f"the class of {name}", type(value)
            told = names_of_state(type(value)) if is_tracked and hasattr(type(value), "state_dict") and not is_of_torch else frozenset()
            if told is None:
                return
            slots = [slot for one in type(value).__mro__ for slot in slots_of(one)]
            attributes.update(filled(value, slots))
            attributes = {key: item for key, item in attributes.items() if key not in told}
        if is_of_torch:
            yield from reach_torch.parts_of(name, value, attributes, is_tracked)
            attributes = dict(reach_torch.kept_attributes(value, attributes))
        of_data = type(value).__module__.startswith("torch.utils.data")
        again = _set_again(type(value)) if (own or of_data) and not is_of_torch else frozenset()
        self._owners.add(name)
        for key, item in sorted(attributes.items()):
            if key in again or (f"{name}.{key}" in self._skipped and not is_of_torch):
                continue
            if own or is_of_torch or of_data or not isinstance(item, (*_PLAIN, *_SEQUENCES, dict)) or key in ("datasets", "transforms"):
                self._of_objects[f"{name}.{key}"] = key
                if of_data or isinstance(value, (types.SimpleNamespace, threading.local)):
                    self._read.add(key)  # No function of the script does so.
                yield f"{name}.{key}", item
        if is_of_torch:
            yield from reach_torch.of_classes(value, attributes_of(value))


def _items(value: Any) -> List[Tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [(key, item) for _, (key, item) in zip(range(_MOST_ITEMS), items)]


def _set_again(cls: type) -> FrozenSet[str]:
    from .understood import set_for_each_epoch

    return set_for_each_epoch(cls)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
