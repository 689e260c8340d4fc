"""A state as a checkpoint holds it: plain values, tensors, and what both can stand for. ``Walk`` goes there, ``decode`` back.

Whatever is neither is left out, by its place and with a reason that its owner understands."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import sharded, special
from .layout import Layout
from .ptfile import QuantizedView, Rebuilt

_ARRAY = "trainstash.array"
_SCALAR = "trainstash.scalar"
_SET = "trainstash.set"
_JAGGED = "trainstash.jagged"
_LAZY = "trainstash.lazy"
_OBJECT = "trainstash.object"
_PLAIN = (int, float, complex, str, bool, type(None), bytes, bytearray)
# Above this many, bytes are kept as a tensor.
_MANY_BYTES = 1 << 16
_LONGEST_PLACE = 200
# A state that is nested deeper is a mistake: an object that holds itself.
_DEEPEST = 100
# NumPy's kinds of numbers, times and texts, whose bytes mean the same in every process.
_ARRAY_KINDS = "fciubmMSU"


class Walk:
    """The plan for a copy of one state. ``layout`` has the storages afterwards, ``lost`` what was left out and why."""

    def __init__(self) -> None:
        self.layout = Layout()
        #: Pairs of a place such as "model.adj" and a reason such as "an open file".
        self.lost: List[Tuple[str, str]] = []
        #: Tensors of which this process has a part, by the place at which they belong.
        self.sharded: Dict[str, Any] = {}
        # Containers that are being planned, the innermost last: one of them again is a state that holds itself.
        self._open: List[int] = []

    def plan(self, live: Mapping[str, Any]) -> Any:
        """Returns the state for ``ptfile.write``; its tensors have no bytes until those of ``layout`` are copied."""
        state = self._any(live, "", 0)
        self.layout.finish()
        return state

    def _any(self, value: Any, place: str, depth: int) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and (type(value) is torch.Tensor or type(value) is torch.nn.Parameter) and _is_dense(value, torch):
            # Nearly all there is, and a training waits for this.
            return self.layout.add(value)
        if depth > _DEEPEST:
            return self._lose(place, "it is nested too deeply")
        if id(value) in self._open:
            return self._lose(place, "it holds itself")
        self._open.append(id(value))
        try:
            if torch is not None and isinstance(value, torch.Tensor):
                return self._tensor(value, place, depth)
            if _is_numpy(value):
                return self._numpy(value, place)
            if type(value) is bytes:
                return self._bytes(value)
            if isinstance(value, _PLAIN):
                return _plain(value)
            if isinstance(value, Mapping):
                return self._mapping(value, place, depth)
            if isinstance(value, (list, tuple)):
                return self._sequence(value, place, depth)
            if isinstance(value, (set, frozenset)):
                return self._set(value, place, depth)
            return self._other(value, place, depth)
        except Exception as error:
            # Containers and tensors of other libraries run code of their own.
            return self._lose(place, f"it could not be read: {special.short(error)}")
        finally:
            self._open.pop()

    def _mapping(self, value: Mapping[Any, Any], place: str, depth: int) -> Any:
        items = []
        for key, item in value.items():
            inner = f"{place}.{key}" if place else str(key)
            if not _is_key(key):
                self._lose(inner, f"a key of the class {type(key).__name__}; texts and numbers can be kept")
                continue
            planned = self._any(item, inner, depth + 1)
            if planned is not NOTHING:
                items.append((_plain_key(key), planned))
        if isinstance(value, Counter):
            return Rebuilt("collections.Counter", (dict(items),))
        if isinstance(value, OrderedDict):
            return _ordered(items, getattr(value, "_metadata", None))
        factory = special.factory_name(value)
        return dict(items) if factory is None else (_OBJECT, "defaultdict", (factory, dict(items)))

    def _sequence(self, value: Any, place: str, depth: int) -> Any:
        if type(value).__name__ == "Size" and type(value).__module__ == "torch":
            return Rebuilt("torch.Size", (tuple(int(size) for size in value),))
        if hasattr(value, "_fields"):
            return self._lose(place, f"a named tuple ({type(value).__name__}); a dict can be kept")
        listed = [self._any(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
        if any(item is NOTHING for item in listed):
            # Functions alone are the constructor's; among other things they make a hole.
            functions = [special.is_of_constructor(item) for item in value]
            if any(functions) and not all(functions):
                self._lose(place, "a list with functions in it")
            return NOTHING
        return tuple(listed) if isinstance(value, tuple) else listed

    def _set(self, value: Any, place: str, depth: int) -> Any:
        items = self._any(sorted(value, key=repr), place, depth)
        if items is NOTHING:
            return NOTHING
        return Rebuilt("builtins.set", (items,)) if isinstance(value, set) else (_OBJECT, "frozenset", items)

    def _numpy(self, value: Any, place: str) -> Any:
        numpy = sys.modules["numpy"]
        dtype = value.dtype
        if isinstance(value, numpy.ndarray) and type(value) not in (numpy.ndarray, numpy.memmap):
            return self._lose(place, f"an array of the class {type(value).__name__}; a plain array can be kept")
        if dtype.kind not in _ARRAY_KINDS or numpy.dtype(dtype.str) != dtype:
            return self._lose(place, f"an array of {dtype}; arrays of numbers, times and texts can be kept")
        tag = _ARRAY if isinstance(value, numpy.ndarray) else _SCALAR
        array = numpy.asarray(value)
        tensor = _as_tensor(array)
        if tensor is not None:
            return (tag, self._tensor(tensor, place, 0))
        # Its bytes, for what torch has no dtype for.
        return (tag, self._bytes(array.tobytes()), str(dtype.str), tuple(int(size) for size in array.shape))

    def _bytes(self, data: bytes) -> Any:
        """Stores many bytes as a tensor: inside the pickle they would take twice their size."""
        torch = sys.modules.get("torch")
        if torch is None or len(data) < _MANY_BYTES:
            return _plain(data)
        return (_OBJECT, "bytes", self.layout.add(torch.frombuffer(bytearray(data), dtype=torch.uint8)))

    def _other(self, value: Any, place: str, depth: int) -> Any:
        if special.is_of_constructor(value):
            return NOTHING
        torch = sys.modules.get("torch")
        if torch is not None:
            if isinstance(value, (torch.dtype, torch.qscheme)):
                return value
            if isinstance(value, torch.device):
                return Rebuilt("torch.device", (value.type,) if value.index is None else (value.type, value.index))
        reduced = special.reduce(value)
        if reduced is None:
            return self._lose(place, special.why_not(value))
        name, payload = reduced
        planned = self._any(payload, place, depth + 1)
        return NOTHING if planned is NOTHING else (_OBJECT, name, planned)

    def _tensor(self, tensor: Any, place: str, depth: int) -> Any:
        torch = sys.modules["torch"]
        if special.is_lazy(tensor):
            return (_LAZY, "buffer" if type(tensor).__name__ == "UninitializedBuffer" else "parameter")
        tensor = tensor.detach()
        if special.is_jagged(tensor):
            return (_JAGGED, self._any(special.jagged_parts(tensor), place, depth + 1))
        if special.is_sharded(tensor):
            return self._shard(tensor, place)
        why = special.why_no_data(tensor)
        if why is not None:
            return self._lose(place, why)
        if tensor.is_quantized:
            return self._quantized(tensor)
        if tensor.layout != torch.strided:
            return self._sparse(tensor, place, depth)
        if getattr(tensor, "is_nested", False):
            parts = special.nested_parts(tensor)
            return Rebuilt("torch._utils._rebuild_nested_tensor", tuple(self._any(part, place, depth + 1) for part in parts))
        if tensor.is_complex():
            tensor = tensor.resolve_conj()
        if tensor.is_neg():
            tensor = tensor.resolve_neg()
        return self.layout.add(tensor)

    def _shard(self, tensor: Any, place: str) -> Any:
        described = sharded.described(tensor)
        if described is None:
            return self._lose(place, "a sharded tensor whose parts are yet to be summed")
        self.sharded[place] = tensor
        return (sharded.TAG, place, tensor.dtype, *described)

    def _sparse(self, tensor: Any, place: str, depth: int) -> Any:
        kind, parts = special.sparse_parts(tensor)
        planned = [part if isinstance(part, bool) else self._any(part, place, depth + 1) for part in parts]
        if any(part is NOTHING for part in planned):
            return NOTHING
        layout = Rebuilt("torch.serialization._get_layout", (str(kind),))
        return Rebuilt("torch._utils._rebuild_sparse_tensor", (layout, tuple(planned)))

    def _quantized(self, tensor: Any) -> Any:
        parameters = [self.layout.add(part) if hasattr(part, "is_quantized") else part for part in special.quantizer(tensor)]
        return QuantizedView(self.layout.add(tensor), tuple(parameters))

    def _lose(self, place: str, why: str) -> Any:
        self.lost.append((place if len(place) <= _LONGEST_PLACE else f"{place[:_LONGEST_PLACE]}…", why))
        return NOTHING


def decode(value: Any) -> Any:
    """Goes back from what a checkpoint holds to what the user's object had. What is decoded already stays as it is."""
    if isinstance(value, tuple) and len(value) > 1 and isinstance(value[0], str) and value[0].startswith("trainstash."):
        return _decode_tagged(value)
    if type(value) is OrderedDict:
        return _ordered([(key, decode(item)) for key, item in value.items()], getattr(value, "_metadata", None))
    if type(value) is dict:
        return {key: decode(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(decode(item) for item in value)
    return value


def _decode_tagged(value: Tuple[Any, ...]) -> Any:
    tag = value[0]
    if tag in (_ARRAY, _SCALAR):
        array = _decode_array(value)
        return array if tag == _ARRAY else array[()]
    if tag == _SET:
        return {decode(item) for item in value[1]}
    if tag == _JAGGED:
        return special.jagged_from(decode(value[1]))
    if tag == _LAZY:
        return special.lazy_of(value[1])
    if tag == sharded.TAG:
        return sharded.Sharded(*value[1:])
    if tag == _OBJECT:
        return special.rebuild(value[1], decode(value[2]))
    return tuple(decode(item) for item in value)


def _decode_array(value: Tuple[Any, ...]) -> Any:
    if len(value) == 2:
        return value[1].numpy()
    import numpy

    return numpy.frombuffer(bytearray(decode(value[1])), dtype=value[2]).reshape(value[3])


class _Nothing:
    __slots__ = ()


#: Stands for what is left out.
NOTHING = _Nothing()


def _plain(value: Any) -> Any:
    # A pickle refers back to the object that it has seen: equal texts must be one and equal bytes several, or equal states
    # give other files.
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, (bytes, bytearray)):
        text = bytes(value).decode("latin1")
        encoded = Rebuilt("_codecs.encode", (text, "latin1"))
        return encoded if isinstance(value, bytes) else Rebuilt("builtins.bytearray", (encoded,))
    if isinstance(value, complex):
        return Rebuilt("builtins.complex", (value.real, value.imag))
    # Subclasses, such as an enum of ints, would be pickled as such.
    for plain in (bool, int, float):
        if isinstance(value, plain):
            return plain(value)
    return None


def _is_dense(tensor: Any, torch: Any) -> bool:
    """Tells whether a tensor's bytes lie as they are in one storage of a device that has storages."""
    if tensor.layout is not torch.strided or tensor.is_quantized or getattr(tensor, "is_nested", False) or tensor.device.type not in ("cpu", "cuda"):
        return False
    return not (tensor.is_complex() or tensor.is_neg())


def _is_key(key: Any) -> bool:
    if type(key) is str or type(key) is int:
        return True
    if isinstance(key, tuple):
        return all(_is_key(part) for part in key)
    return isinstance(key, (str, int, float, bool, type(None))) or (_is_numpy(key) and key.dtype.kind in "iufbU" and key.shape == ())


def _plain_key(key: Any) -> Any:
    if type(key) is str:
        return sys.intern(key)
    if isinstance(key, tuple):
        return tuple(_plain_key(part) for part in key)
    return _plain(key.item() if _is_numpy(key) else key)


def _is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _as_tensor(array: Any) -> Any:
    """Returns the array as a tensor on the same memory, or on a copy where torch needs one; None when torch has no such dtype."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except (TypeError, ValueError):
        return None


def _ordered(items: List[Tuple[Any, Any]], metadata: Optional[Any]) -> Any:
    ordered = OrderedDict(items)
    if isinstance(metadata, Mapping):
        # Versions of the modules, which `load_state_dict` looks at.
        kept: Dict[str, Any] = {}
        for name, entry in metadata.items():
            kept[str(name)] = {str(k): v for k, v in entry.items() if type(v) in (int, float, str, bool, type(None))}
        ordered._metadata = kept  # type: ignore[attr-defined]
    return ordered

