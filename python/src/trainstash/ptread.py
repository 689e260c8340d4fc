"""Reads the files that ``ptfile`` writes. Nothing but tensors and plain values can come out of one, and no code runs."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from typing import Any, Callable, Dict, Iterator, List, Tuple

from . import filling
from .codec import decode
from .opcodes import check_numbers
from .ptfile import STORAGES
from .rebuilding import FUNCTIONS

_LOCAL_HEADER_BYTES = 30
_DTYPES = {storage: dtype for dtype, storage in STORAGES.items()}
_SCHEMES = ("per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams")


def read(path: str, verified: bool = False) -> Any:
    """Reads a state, its tensors on the CPU and in memory of their own.

    Args:
        path: A file that ``ptfile.write`` wrote.
        verified: The bytes were compared with their hashes a moment ago: their checksums are not computed again.

    Raises:
        ValueError: The file holds anything else, is damaged, or breaks off.
        OSError: It cannot be read.
    """
    with _one_kind_of_error(), _Archive(path) as archive:
        check_numbers(archive.pickle())
        return decode(_load(archive.pickle(), archive.storages(verified)))


def check(path: str, written: List[Any]) -> None:
    """Reads a file back as a resume would, but for the bytes of its storages, which are still in memory.

    Args:
        path: A file that ``ptfile.write`` has just written.
        written: The flat uint8 tensors of its storages, in the order of the file.

    Raises:
        ValueError: A resume could not read it.
        OSError: It cannot be read.
    """
    with _one_kind_of_error(), _Archive(path) as archive:
        sizes = [size for _, size, _ in archive.entries]
        if sizes != [int(data.numel()) for data in written]:
            raise ValueError("its storages have other sizes than were written")
        decode(_load(archive.pickle(), written))


@contextlib.contextmanager
def _one_kind_of_error() -> Iterator[None]:
    """Turns what a damaged file makes fail into a ValueError, which whoever reads one waits for."""
    try:
        yield
    except (OSError, MemoryError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"it is damaged, or no checkpoint: {error}") from error


class _Archive:
    """``entries`` are the storages: where the bytes of each begin, how many they are, and their checksum."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        archive = zipfile.ZipFile(self._file)
        infos = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if "data.pkl" not in infos:
            raise ValueError("it is no file of torch")
        order = archive.read(infos["byteorder"]) if "byteorder" in infos else b"little"
        if order.strip() != sys.byteorder.encode():
            raise ValueError(f"it was written on a machine with the other byte order ({order.decode('ascii', 'replace')})")
        self._pickle = archive.read(infos["data.pkl"])
        size = os.fstat(self._file.fileno()).st_size
        self.entries: List[filling.Entry] = []
        # Without a buffer, which would be filled anew for each of many small heads.
        with open(self._file.name, "rb", buffering=0) as heads:
            while f"data/{len(self.entries)}" in infos:
                info = infos[f"data/{len(self.entries)}"]
                self.entries.append((self._start(heads, info, size), info.file_size, info.CRC))

    def _start(self, heads: Any, info: zipfile.ZipInfo, size: int) -> int:
        heads.seek(info.header_offset)
        head = heads.read(_LOCAL_HEADER_BYTES)
        name, extra = struct.unpack("<HH", head[26:])
        start = int(info.header_offset + _LOCAL_HEADER_BYTES + name + extra)
        if info.compress_type != zipfile.ZIP_STORED or head[:4] != b"PK\3\4" or start + info.file_size > size:
            raise ValueError(f"{info.filename} is not where its directory says")
        return start

    def pickle(self) -> bytes:
        return self._pickle

    def storages(self, verified: bool) -> List[Any]:
        return filling.fill(self._file.name, self.entries, verified)

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()


def _load(pickled: bytes, storages: List[Any]) -> Any:
    return _Unpickler(io.BytesIO(pickled), storages).load()


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows by name what a checkpoint is made of, and nothing else."""

    def __init__(self, file: Any, storages: List[Any]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        known = FUNCTIONS.get((module, name)) or _CLASSES.get((module, name))
        if known is not None:
            return known
        if module in ("torch", "torch.storage"):
            found = _torch_value(name)
            if found is not None:
                return found
        raise pickle.UnpicklingError(f"it holds something that no checkpoint of this package holds ({module}.{name})")

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _, _ = pid
        if kind != "storage" or not isinstance(dtype, str):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        return dtype, self._storages[int(key)]


def _torch_value(name: str) -> Any:
    """Finds a dtype, a scheme of quantization, or for a class of storages the name of its dtype."""
    if name == "UntypedStorage":
        return "uint8"
    if name in _DTYPES:
        return _DTYPES[name]
    import torch

    found = getattr(torch, name, None)
    if isinstance(found, torch.dtype) or name in ("Size", "device") or name in _SCHEMES:
        return found
    return None


def _bytearray(*arguments: Any) -> bytearray:
    """Makes one of bytes or of a text and its encoding. A number would be a size, of nothing but zeros."""
    if arguments and not isinstance(arguments[0], (bytes, str)):
        raise pickle.UnpicklingError("it holds a bytearray that is not made of bytes")
    return bytearray(*arguments)


_CLASSES: Dict[Tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, complex)},
    **{(module, "bytearray"): _bytearray for module in ("builtins", "__builtin__")},
}
