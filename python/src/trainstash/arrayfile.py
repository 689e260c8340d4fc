"""A state of arrays and plain values in one safetensors file, for frameworks other than torch. The arrays lie under their
places, such as "model.0.weight"; everything else is one JSON text in the header that says where each array belongs."""

from __future__ import annotations

import base64
import json
import math
import os
import struct
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

_KEY = "trainstash"
_TAG = "$"
_DEEPEST = 100
#: The names of safetensors for NumPy's types of numbers.
_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
#: Types that NumPy has not, and the type of the same size in which their bytes travel.
_CARRIERS = {"BF16": "uint16", "F8_E4M3": "uint8", "F8_E5M2": "uint8"}


class Array(NamedTuple):
    """The bytes of one tensor. ``name``: its type as safetensors calls it."""

    data: Any
    name: str


class Packed(NamedTuple):
    """A state that is ready to be written: nothing in it changes any more."""

    arrays: Dict[str, Array]
    skeleton: Any
    #: The parts that are left out: pairs of a place and a reason.
    lost: List[Tuple[str, str]]


def pack(state: Any) -> Packed:
    """Copies a state of dicts, lists, tuples, plain values, NumPy arrays and ``Array``s."""
    packer = _Packer()
    return Packed(packer.arrays, packer.any(state, "", 0), packer.lost)


def write(packed: Packed, path: str) -> int:
    """Writes a new file, durably. Returns its size in bytes; raises OSError when the disk does not take it."""
    header: Dict[str, Any] = {"__metadata__": {_KEY: json.dumps(packed.skeleton, separators=(",", ":"))}}
    at = 0
    for place, array in packed.arrays.items():
        header[place] = {"dtype": array.name, "shape": list(array.data.shape), "data_offsets": [at, at + array.data.nbytes]}
        at += array.data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in packed.arrays.values():
            file.write(memoryview(array.data.reshape(-1)).cast("B") if array.data.nbytes else b"")
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def read(path: str) -> Any:
    """Reads the state of a file that ``write`` made; arrays are NumPy's. Raises ValueError for any other file."""
    import numpy

    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if not 0 < length <= size - 8:
            raise ValueError("it is no whole safetensors file")
        header = json.loads(file.read(length))
        skeleton = (header.pop("__metadata__", None) or {}).get(_KEY)
        if skeleton is None:
            raise ValueError("it was not written by this package")
        arrays = {}
        for place, entry in header.items():
            start, end = entry["data_offsets"]
            if end > size - 8 - length:
                raise ValueError(f"it ends before {place}")
            file.seek(8 + length + start)
            flat = numpy.frombuffer(bytearray(file.read(end - start)), dtype=_dtype(entry["dtype"]))
            arrays[place] = flat.reshape(entry["shape"])
    return _unpacked(json.loads(skeleton), arrays)


class _Packer:
    def __init__(self) -> None:
        self.arrays: Dict[str, Array] = {}
        self.lost: List[Tuple[str, str]] = []

    def any(self, value: Any, place: str, depth: int) -> Any:
        """Makes the JSON form of a value. What cannot be kept becomes None, and is noted."""
        if depth > _DEEPEST:
            return self._lose(place, "it is nested too deeply, or holds itself")
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}
        if isinstance(value, Array):
            return self._array(value, place)
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            return self._numpy(value, place)
        if isinstance(value, dict):
            return self._dict(value, place, depth)
        if isinstance(value, list):
            return [self.any(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
        if type(value) is tuple:
            return {_TAG: "tuple", "v": self.any(list(value), place, depth + 1)}
        if isinstance(value, (bytes, bytearray)):
            return {_TAG: "bytes", "v": base64.b64encode(value).decode()}
        if isinstance(value, (set, frozenset)):
            return {_TAG: "set", "v": self.any(sorted(value, key=repr), place, depth + 1)}
        if isinstance(value, complex):
            return {_TAG: "complex", "v": [repr(value.real), repr(value.imag)]}
        return self._lose(place, f"an object of the class {type(value).__name__}; numbers, texts, arrays and lists or dicts of them can be kept")

    def _dict(self, value: Dict[Any, Any], place: str, depth: int) -> Any:
        items = [(key, self.any(item, f"{place}.{key}" if place else str(key), depth + 1)) for key, item in value.items()]
        if all(isinstance(key, str) and key != _TAG for key in value):
            return dict(items)
        return {_TAG: "dict", "v": [[self.any(key, place, depth + 1), item] for key, item in items]}

    def _numpy(self, value: Any, place: str) -> Any:
        import numpy

        array = numpy.array(value, order="C", copy=True)
        name = _NAMES.get(array.dtype.name)
        if name is None or array.dtype.byteorder == ">":
            return self._lose(place, f"an array of {array.dtype}; arrays of numbers can be kept")
        kind = "array" if isinstance(value, numpy.ndarray) else "scalar"
        return {**self._array(Array(array, name), place), _TAG: kind}

    def _array(self, array: Array, place: str) -> Dict[str, Any]:
        name, number = place, 1
        while name in self.arrays or name == "__metadata__":
            number += 1
            name = f"{place}#{number}"
        self.arrays[name] = array
        return {_TAG: "array", "v": name}

    def _lose(self, place: str, why: str) -> None:
        self.lost.append((place, why))


def _unpacked(value: Any, arrays: Dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    tag: Optional[str] = value.get(_TAG)
    if tag is None:
        return {key: _unpacked(item, arrays) for key, item in value.items()}
    inner = value["v"]
    if tag in ("array", "scalar"):
        return arrays[inner] if tag == "array" else arrays[inner][()]
    if tag == "float":
        return float(inner)
    if tag == "bytes":
        return base64.b64decode(inner)
    if tag == "complex":
        return complex(float(inner[0]), float(inner[1]))
    if tag == "dict":
        return {_key(_unpacked(key, arrays)): _unpacked(item, arrays) for key, item in inner}
    listed = _unpacked(inner, arrays)
    if tag == "tuple":
        return tuple(listed)
    if tag == "set":
        return set(listed)
    raise ValueError(f"a value of the kind {tag} is from a newer version of trainstash")


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _dtype(name: str) -> str:
    carrier = _CARRIERS.get(name) or next((own for own, known in _NAMES.items() if known == name), None)
    if carrier is None:
        raise ValueError(f"its type of numbers {name} is not known")
    return carrier
