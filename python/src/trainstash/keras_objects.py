"""The state of Python objects that take part in a Keras training, such as callbacks and data sets: their attributes, out and
in again. What cannot be read is named and never guessed."""

from __future__ import annotations

import enum
import hashlib
import logging
import math
import pathlib
import re
import sys
import types
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import generators, rng

_DEEPEST = 6
_TAG = "$"
# Larger arrays are compared at some of their elements only, and kept only where those have changed.
_SMALL_BYTES = 1 << 20
_MOST_BYTES = 256 << 20
_SAMPLES = 4096
# Values that a training reads and never changes.
_CONSTANTS = (type, types.ModuleType, logging.Logger, re.Pattern, pathlib.PurePath, property, enum.Enum)


class Opaque(Exception):
    """A value whose state cannot be read; the text says why."""


class Attributes(NamedTuple):
    """The attributes that were found in an object: values as JSON can hold them, the arrays that they refer to, and what cannot be kept."""

    values: Dict[str, Any]
    arrays: Dict[str, Any]
    #: Pairs of an attribute and the reason.
    lost: List[Tuple[str, str]]
    #: Attributes that hold functions, classes and the like, which are the script's: by their names.
    constants: Dict[str, str]
    #: The object's class is known to keep no state in those.
    is_trusted: bool

    def changed_since(self, before: Attributes) -> Attributes:
        """Leaves out what is as it was: a resume has it from the script."""
        same = {name for name, value in self.values.items() if name in before.values and self._mark(name) == before._mark(name)}
        values = {name: value for name, value in self.values.items() if name not in same}
        arrays = {key: array for key, array in self.arrays.items() if key.split("/", 1)[0] in values}
        others = [] if self.is_trusted else [name for name, held in self.constants.items() if before.constants.get(name) != held]
        lost = [*self.lost, *((name, "it has become another function or class while it trained") for name in others)]
        return self._replace(values=values, arrays=arrays, lost=lost)

    def _mark(self, name: str) -> Any:
        own = [(key, mark_of(array)) for key, array in self.arrays.items() if key.split("/", 1)[0] == name]
        return repr(self.values[name]), own


def attributes_of(owner: Any, ignored: Tuple[str, ...], trusts_opaque: bool = False, whole: bool = False) -> Attributes:
    """Reads an object's attributes, and the plain ones of its own class.

    Args:
        ignored: Attributes that are no state.
        trusts_opaque: Its class is known to keep no state in objects that cannot be read.
        whole: Copies arrays, so that the reading stays what it was.
    """
    found = Attributes({}, {}, [], {}, trusts_opaque)
    for name, value in _attributes(owner):
        if name in ignored:
            continue
        encoder = _Encoder(name, found.arrays, whole)
        try:
            encoded = encoder.encode(value, name, 0)
        except Opaque as reason:
            encoder.undo()
            if not trusts_opaque:
                found.lost.append((name, str(reason)))
            continue
        if encoded is _CONSTANT:
            found.constants[name] = str(getattr(value, "__qualname__", type(value).__qualname__))
        else:
            found.values[name] = encoded
    return found


def put_back(owner: Any, values: Mapping[str, Any], arrays: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Sets the attributes that were read.

    Returns:
        What could not be set: pairs of an attribute and the reason.
    """
    failed: List[Tuple[str, str]] = []
    for name, encoded in values.items():
        target = owner if name in vars(owner) or not hasattr(type(owner), name) else type(owner)
        try:
            before = getattr(owner, name, None)
            value = _decode(encoded, before, arrays)
            if value is not before:
                setattr(target, name, value)
        except Exception as error:
            failed.append((name, str(error)))
    return failed


def encode(value: Any) -> Tuple[Any, Dict[str, Any]]:
    """Makes JSON of plain values, with the arrays that it refers to. Raises Opaque for anything else."""
    arrays: Dict[str, Any] = {}
    return _Encoder("value", arrays, True).encode(value, "value", 0), arrays


def decode(encoded: Any, arrays: Mapping[str, Any]) -> Any:
    """Reads what ``encode`` has made."""
    return _decode(encoded, None, arrays)


def mark_of(array: Any) -> str:
    """Returns a short text that differs when an array has changed. Large ones are looked at in places."""
    import numpy

    flat = numpy.ascontiguousarray(array).reshape(-1)
    if flat.nbytes > _SMALL_BYTES:
        flat = flat[:: max(1, flat.size // _SAMPLES)]
    digest = hashlib.blake2b(numpy.ascontiguousarray(flat).view(numpy.uint8).data, digest_size=8)
    return f"{array.dtype.name}{array.shape}{digest.hexdigest()}"


class _Constant:
    pass


_CONSTANT = _Constant()


def _attributes(owner: Any) -> Iterator[Tuple[str, Any]]:
    own = vars(owner) if hasattr(owner, "__dict__") else {}
    yield from list(own.items())
    for kind in type(owner).__mro__:
        if kind is object or kind.__module__.partition(".")[0] in ("keras", "builtins", "abc", "tensorflow", "torch"):
            continue
        for name, value in list(vars(kind).items()):
            is_plain = isinstance(value, (bool, int, float, list, dict, set))
            if is_plain and not name.startswith("__") and name not in own:
                yield name, value


class _Encoder:
    """An encoder of one attribute as JSON and arrays."""

    def __init__(self, name: str, arrays: Dict[str, Any], whole: bool) -> None:
        self._name = name
        self._arrays = arrays
        self._whole = whole
        self._added: List[str] = []

    def undo(self) -> None:
        for key in self._added:
            del self._arrays[key]

    def encode(self, value: Any, at: str, depth: int) -> Any:
        if value is None or isinstance(value, (bool, int, str)) and type(value) in (bool, int, str):
            return value
        if isinstance(value, float) and type(value) is float:
            return value if math.isfinite(value) else {_TAG: "float", "v": str(value)}
        if depth > _DEEPEST:
            raise Opaque("it is nested too deeply")
        if rng.is_generator(value):
            return {_TAG: "generator", "v": self.encode(generators.state_of(value), at, depth + 1)}
        if isinstance(value, (list, tuple, set, frozenset, dict)):
            return self._collection(value, at, depth)
        return self._object(value, at, depth)

    def _collection(self, value: Any, at: str, depth: int) -> Any:
        if isinstance(value, dict):
            items = [[self.encode(key, f"{at}/key{i}", depth + 1), self._item(item, f"{at}/{i}", depth)] for i, (key, item) in enumerate(value.items())]
            return {_TAG: "dict", "v": items}
        # Sets have no order of their own: equal ones have to look alike.
        ordered = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        items = [self._item(item, f"{at}/{i}", depth) for i, item in enumerate(ordered)]
        kind = type(value).__name__
        if type(value) not in (list, tuple, set, frozenset):
            raise Opaque(f"it is a {kind}")
        return items if kind == "list" else {_TAG: kind, "v": items}

    def _item(self, value: Any, at: str, depth: int) -> Any:
        encoded = self.encode(value, at, depth + 1)
        return {_TAG: "same"} if encoded is _CONSTANT else encoded

    def _object(self, value: Any, at: str, depth: int) -> Any:
        numpy = sys.modules["numpy"]
        if isinstance(value, numpy.generic) and value.dtype.kind in "biuf":
            value = numpy.asarray(value)
            return {_TAG: "scalar", "dtype": value.dtype.name, "v": self.encode(value.item(), at, depth + 1)}
        if isinstance(value, numpy.ndarray):
            return self._array(value, at)
        if isinstance(value, _CONSTANTS):
            return _CONSTANT
        if isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)):
            return self._function(value)
        variables = variables_of(value)
        if variables is not None:
            from .keras_variables import value_of

            keys = [self._array(value_of(one), f"{at}/{i}") for i, one in enumerate(variables)]
            return {_TAG: "variables", "v": keys}
        return self._plain_object(value, at, depth)

    def _array(self, value: Any, at: str) -> Any:
        from .keras_arrays import can_be_written

        if not can_be_written(value.dtype.name):
            raise Opaque(f"it is an array of {value.dtype.name}")
        self._arrays[at] = value.copy() if self._whole and value.nbytes <= _SMALL_BYTES else value
        self._added.append(at)
        return {_TAG: "array", "v": at}

    def _function(self, value: Any) -> Any:
        for cell in getattr(value, "__closure__", None) or ():
            try:
                held = cell.cell_contents
            except ValueError:
                continue
            if isinstance(held, (list, dict, set)):
                raise Opaque("it is a function that keeps values of its own")
        return _CONSTANT

    def _plain_object(self, value: Any, at: str, depth: int) -> Any:
        kind = type(value)
        origin = kind.__module__.partition(".")[0]
        if origin in ("tensorflow", "jax", "jaxlib", "torch", "keras"):
            if any(word in kind.__name__ for word in ("Iterator", "Loader", "Generator", "Optimizer")):
                raise Opaque(f"it is a {kind.__name__}")
            return _CONSTANT
        if not hasattr(value, "__dict__") or hasattr(value, "__next__") or hasattr(value, "fileno"):
            raise Opaque(f"it is a {kind.__name__}")
        if origin in sys.builtin_module_names or origin in getattr(sys, "stdlib_module_names", ()):
            raise Opaque(f"it is a {kind.__name__}")
        items = {name: self._item(item, f"{at}/{name}", depth) for name, item in vars(value).items()}
        return {_TAG: "object", "v": items}


def variables_of(value: Any) -> Optional[List[Any]]:
    """Finds the variables of a Keras object, as a metric or a second model has them."""
    keras: Any = sys.modules.get("keras")
    if keras is None:
        return None
    if isinstance(value, keras.random.SeedGenerator):
        return [value.state]
    if isinstance(value, keras.Variable):
        return [value]
    if isinstance(value, (keras.Layer, keras.metrics.Metric, keras.optimizers.Optimizer)):
        return list(value.variables)
    return None


def _decode(encoded: Any, before: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(encoded, list):
        return [_decode(item, _part(before, i), arrays) for i, item in enumerate(encoded)]
    if not isinstance(encoded, dict):
        return encoded
    kind: str = encoded[_TAG]
    inner: Any = encoded.get("v")
    if kind == "same":
        return before
    if kind == "float":
        return float(inner)
    if kind == "scalar":
        numpy = sys.modules["numpy"]
        return numpy.dtype(encoded["dtype"]).type(_decode(inner, None, arrays))
    if kind == "array":
        return _array_into(before, arrays[inner])
    if kind == "dict":
        parts = before if isinstance(before, dict) else {}
        decoded = [(_decode(key, None, arrays), item) for key, item in inner]
        return {key: _decode(item, parts.get(key), arrays) for key, item in decoded}
    if kind in ("tuple", "set", "frozenset"):
        items = [_decode(item, _part(before, i), arrays) for i, item in enumerate(inner)]
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
    return _into(kind, inner, before, arrays)


def _into(kind: str, inner: Any, before: Any, arrays: Mapping[str, Any]) -> Any:
    """Fills an object that the script has made."""
    if kind == "generator":
        generators.set_state(before, _decode(inner, None, arrays))
    elif kind == "variables":
        own = variables_of(before) or []
        if len(own) != len(inner):
            raise ValueError(f"it has {len(own)} variables, {len(inner)} in the checkpoint")
        for variable, key in zip(own, inner):
            variable.assign(arrays[key["v"]])
    else:
        for name, item in inner.items():
            if item != {_TAG: "same"}:
                setattr(before, name, _decode(item, getattr(before, name, None), arrays))
    return before


def _array_into(before: Any, array: Any) -> Any:
    """Puts an array into the one that was there before, where that is possible: others may hold the same array."""
    numpy = sys.modules["numpy"]
    fits = isinstance(before, numpy.ndarray) and before.shape == array.shape and before.dtype == array.dtype
    if fits and before.flags.writeable:
        before[...] = array
        return before
    return array.copy()


def _part(value: Any, index: int) -> Any:
    return value[index] if isinstance(value, (list, tuple)) and index < len(value) else None


def too_large(array: Any) -> bool:
    """Tells whether an array is more than a checkpoint should carry for a data set."""
    return bool(array.nbytes > _MOST_BYTES)
