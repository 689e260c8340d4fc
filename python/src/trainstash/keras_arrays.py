"""Arrays by name in one file: safetensors, which knows the dtypes of every backend of Keras, and which other tools read."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, Tuple

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
_DTYPES = {code: name for name, code in _CODES.items()}
#: Dtypes that NumPy itself does not have.
_OTHERS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def dtype_named(name: str) -> Any:
    """Finds the dtype of that name, which may be one that only ``ml_dtypes`` has."""
    import numpy

    if name not in _OTHERS:
        return numpy.dtype(name)
    import ml_dtypes

    return numpy.dtype(getattr(ml_dtypes, name))


def can_be_written(dtype: str) -> bool:
    """Tells whether the format has a word for a dtype."""
    return dtype in _CODES


def write(path: str, arrays: Mapping[str, Any], notes: Mapping[str, str]) -> None:
    """Writes arrays and texts. Equal ones give equal bytes."""
    import numpy

    whole = {name: numpy.ascontiguousarray(array).reshape(numpy.shape(array)) for name, array in arrays.items()}
    header: Dict[str, Any] = {"__metadata__": dict(notes)}
    at = 0
    for name, array in whole.items():
        header[name] = {"dtype": _CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in whole.values():
            file.write(array.reshape(-1).view(numpy.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def read(path: str) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """Reads what ``write`` has written. Raises ValueError for anything else."""
    import numpy

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        body = file.read()
    notes = header.pop("__metadata__", {})
    arrays: Dict[str, Any] = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        dtype = dtype_named(_DTYPES[entry["dtype"]])
        shape: List[int] = entry["shape"]
        # A copy: arrays of a file's bytes are not aligned, and cannot be written to.
        arrays[name] = numpy.frombuffer(body[start:end], dtype=numpy.uint8).copy().view(dtype).reshape(shape)
    return arrays, notes
