"""Values that are neither plain nor dense tensors, and how each is taken apart and put together again."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
import io
import pathlib
import sys
import types
import uuid
import weakref
from typing import Any, Callable, Dict, Optional, Tuple

_MOST_OF_ERROR = 200
_FACTORIES: Dict[str, Any] = {"list": list, "dict": dict, "int": int, "float": float, "set": set, "str": str, "bool": bool}
# Objects that a constructor has put there, and puts there again: they have no state of their own.
_OF_CONSTRUCTOR = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    type,
    functools.partial,
    weakref.ReferenceType,
)


def is_of_constructor(value: Any) -> bool:
    """Tells functions, classes, and the optimizer that a schedule drives: a resume finds them where the script put them."""
    return isinstance(value, _OF_CONSTRUCTOR) or hasattr(value, "param_groups")


def factory_name(value: Any) -> Optional[str]:
    """Returns the name of what a defaultdict makes; None for other mappings, and for factories that cannot be named."""
    if not isinstance(value, collections.defaultdict):
        return None
    if value.default_factory is None:
        return "None"
    return next((name for name, made in _FACTORIES.items() if made is value.default_factory), None)


def reduce(value: Any) -> Optional[Tuple[str, Any]]:
    """Returns the name of a value's class and the plain values that make it again; None when it is of no known class."""
    for name, (kind, apart, _) in _CLASSES.items():
        if type(value) is kind or (kind is pathlib.PurePath and isinstance(value, kind)):
            return name, apart(value)
    return None


def rebuild(name: str, payload: Any) -> Any:
    """Makes the value that ``reduce`` took apart. Raises ValueError for an unknown name."""
    if name == "defaultdict":
        return collections.defaultdict(_FACTORIES.get(payload[0]), payload[1])
    if name not in _CLASSES:
        raise ValueError(f"a value of the class {name} is from a newer version of trainstash")
    return _CLASSES[name][2](payload)


def why_not(value: Any) -> str:
    """Says why a value cannot be kept, as a clause that follows its place."""
    kind = type(value)
    origin = kind.__module__.partition(".")[0]
    name = kind.__name__ if origin in ("builtins", "__main__") else f"{origin}'s {kind.__name__}"
    if is_generator(value):
        return f"a random generator ({name}) inside another object; give it to init() or run.track() by itself"
    if isinstance(value, io.IOBase):
        return "an open file"
    if origin in ("jax", "jaxlib", "tensorflow", "keras", "paddle", "mindspore", "mlx", "cupy"):
        return f"an array of {origin}; NumPy arrays can be kept"
    return f"an object of the class {name}; numbers, texts, tensors, arrays and lists or dicts of them can be kept"


def short(error: BaseException) -> str:
    """Shortens an error for a sentence: torch's fill pages."""
    text = str(error).strip().split("\n")[0].rstrip(".")
    return text if len(text) <= _MOST_OF_ERROR else f"{text[:_MOST_OF_ERROR]}…"


def is_generator(value: Any) -> bool:
    """Tells random generators of Python, NumPy and torch."""
    import random

    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy.random")
    if isinstance(value, random.Random) or (torch is not None and isinstance(value, torch.Generator)):
        return True
    return numpy is not None and isinstance(value, (numpy.Generator, numpy.RandomState, numpy.BitGenerator))


def is_lazy(tensor: Any) -> bool:
    """Tells parameters and buffers that get their shape with the first batch."""
    return hasattr(tensor, "materialize") and type(tensor).__name__.startswith("Uninitialized")


def lazy_of(kind: str) -> Any:
    """Makes a parameter or a buffer without a shape."""
    from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

    return UninitializedBuffer() if kind == "buffer" else UninitializedParameter()


def is_sharded(tensor: Any) -> bool:
    """Tells a tensor of which each process has a part."""
    return hasattr(tensor, "to_local") and hasattr(tensor, "placements")


def why_no_data(tensor: Any) -> Optional[str]:
    """Says why a tensor's bytes cannot be had, as a clause; None when they can."""
    torch: Any = sys.modules["torch"]
    kind = type(tensor)
    own: Any = getattr(kind, "__torch_dispatch__", None)
    if own is not None and own is not torch.Tensor.__torch_dispatch__ and kind is not torch.nn.Parameter:
        return f"a tensor of the class {kind.__name__}, which is made of others"
    if tensor.device.type == "meta":
        return "on the meta device: it has a shape and no numbers"
    if str(tensor.dtype) == "torch.complex32" and not hasattr(torch._utils, "_rebuild_tensor_v3"):
        return "of the dtype complex32, for which this version of torch has no file format"
    if str(tensor.layout) == "torch._mkldnn":
        return "in the layout of oneDNN; .to_dense() of it can be kept"
    return None


def is_jagged(tensor: Any) -> bool:
    """Tells a nested tensor of the jagged layout."""
    return str(getattr(tensor, "layout", "")) == "torch.jagged"


def jagged_parts(tensor: Any) -> Dict[str, Any]:
    """Takes a jagged tensor apart into what ``jagged_from`` makes it of."""
    lengths = tensor.lengths()
    extremes = {name: int(value.shape[0]) for name, value in getattr(tensor, "_metadata_cache", {}).items()}
    return {"values": tensor.values(), "offsets": tensor.offsets(), "lengths": lengths, "dim": int(tensor._ragged_idx), **extremes}


def jagged_from(parts: Dict[str, Any]) -> Any:
    """Makes a nested tensor of the jagged layout."""
    torch: Any = sys.modules["torch"]
    return torch.nested.nested_tensor_from_jagged(
        parts["values"],
        offsets=parts["offsets"],
        lengths=parts["lengths"],
        jagged_dim=parts["dim"],
        min_seqlen=parts.get("min_seqlen"),
        max_seqlen=parts.get("max_seqlen"),
    )


def nested_parts(tensor: Any) -> Tuple[Any, ...]:
    """Takes a nested tensor of the strided layout apart: buffer, sizes, strides and offsets."""
    if not hasattr(tensor, "_nested_tensor_strides"):
        raise TypeError("this version of torch cannot take a nested tensor apart")
    return (
        tensor.values(),
        tensor._nested_tensor_size(),
        tensor._nested_tensor_strides(),
        tensor._nested_tensor_storage_offsets(),
    )


def sparse_parts(tensor: Any) -> Tuple[Any, Tuple[Any, ...]]:
    """Returns the layout of a sparse tensor, and the arguments that torch makes it of."""
    torch: Any = sys.modules["torch"]
    size = tuple(tensor.shape)
    if tensor.layout == torch.sparse_coo:
        parts = (tensor._indices(), tensor._values(), size)
        # torch 1 does not know the flag, and takes three.
        return tensor.layout, parts if torch.__version__.startswith("1.") else (*parts, tensor.is_coalesced())
    if str(tensor.layout) in ("torch.sparse_csr", "torch.sparse_bsr"):
        return tensor.layout, (tensor.crow_indices(), tensor.col_indices(), tensor.values(), size)
    if str(tensor.layout) in ("torch.sparse_csc", "torch.sparse_bsc"):
        return tensor.layout, (tensor.ccol_indices(), tensor.row_indices(), tensor.values(), size)
    raise TypeError(f"its layout {tensor.layout} is unknown")


def quantizer(tensor: Any) -> Tuple[Any, ...]:
    """Returns scheme, scales, zero points and axis of a quantized tensor. Raises TypeError for a scheme that torch cannot make again."""
    torch: Any = sys.modules["torch"]
    scheme = tensor.qscheme()
    if scheme == torch.per_tensor_affine:
        return scheme, tensor.q_scale(), tensor.q_zero_point()
    if scheme in (torch.per_channel_affine, torch.per_channel_affine_float_qparams):
        return torch.per_channel_affine, tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis()
    raise TypeError(f"it is quantized by {scheme}")


def _offset(value: Any) -> Optional[float]:
    moved = value.utcoffset()
    return None if moved is None else moved.total_seconds()


def _zone(seconds: Optional[float]) -> Optional[datetime.timezone]:
    return None if seconds is None else datetime.timezone(datetime.timedelta(seconds=seconds))


_Parts = Tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]

# The class of each name, its parts, and the function that makes it of them.
_CLASSES: Dict[str, _Parts] = {
    "bytes": (None, bytes, lambda tensor: bytes(tensor.numpy())),
    "frozenset": (frozenset, lambda v: sorted(v, key=repr), frozenset),
    "deque": (collections.deque, lambda v: (list(v), v.maxlen), lambda p: collections.deque(p[0], p[1])),
    "range": (range, lambda v: (v.start, v.stop, v.step), lambda p: range(*p)),
    "slice": (slice, lambda v: (v.start, v.stop, v.step), lambda p: slice(*p)),
    "BytesIO": (io.BytesIO, lambda v: (v.getvalue(), v.tell()), lambda p: _file(p)),
    "timedelta": (datetime.timedelta, lambda v: (v.days, v.seconds, v.microseconds), lambda p: datetime.timedelta(*p)),
    "date": (datetime.date, lambda v: (v.year, v.month, v.day), lambda p: datetime.date(*p)),
    "datetime": (
        datetime.datetime,
        lambda v: (v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.fold, _offset(v)),
        lambda p: datetime.datetime(p[0], p[1], p[2], *p[3:7]).replace(fold=p[7], tzinfo=_zone(p[8])),
    ),
    "Decimal": (decimal.Decimal, str, decimal.Decimal),
    "Fraction": (fractions.Fraction, lambda v: (v.numerator, v.denominator), lambda p: fractions.Fraction(*p)),
    "UUID": (uuid.UUID, str, uuid.UUID),
    "Path": (pathlib.PurePath, str, pathlib.Path),
    "SimpleNamespace": (types.SimpleNamespace, lambda v: dict(vars(v)), lambda p: types.SimpleNamespace(**p)),
}


def _file(parts: Tuple[bytes, int]) -> io.BytesIO:
    file = io.BytesIO(parts[0])
    file.seek(parts[1])
    return file
