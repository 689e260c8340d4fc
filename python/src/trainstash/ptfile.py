"""Writes files that plain ``torch.load`` reads: a zip of stored entries, each storage once, its data at multiples of 64
bytes. The bytes are a function of the state alone. Writing is bounded by the disk, not by Python: the interpreter's lock is
released while a piece is summed and written."""

from __future__ import annotations

import codecs
import collections
import io
import os
import pickle
import struct
import sys
import threading
import zlib
from collections import OrderedDict
from functools import partial
from typing import Any, Callable, Iterator, List, Optional, Tuple

PIECE_BYTES = 4 << 20
_SYNC_BYTES = 64 << 20
_THREAD_BYTES = 16 << 20
_ALIGN = 64
_MAX32 = 0xFFFFFFFF
_STEM = "archive"
# 1 January 1980: the zip format's zero.
_DOS_DATE = 0x21

#: The class that a file names for the storage of each dtype. A dtype that is not here has no class of its own.
STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
    "qint8": "QInt8Storage",
    "quint8": "QUInt8Storage",
    "qint32": "QInt32Storage",
    "quint4x2": "QUInt4x2Storage",
    "quint2x4": "QUInt2x4Storage",
}


class Storage:
    """Bytes of one storage, as a flat uint8 tensor on the CPU."""

    __slots__ = ("bytes",)

    def __init__(self, data: Any) -> None:
        self.bytes = data


class TensorView:
    """A tensor to be written: what part of which storage it is. ``offset``, ``size`` and ``stride`` are in elements."""

    __slots__ = ("storage", "dtype", "offset", "size", "stride")

    def __init__(self, dtype: Any, offset: int, size: Tuple[int, ...], stride: Tuple[int, ...]) -> None:
        #: Set before the view is written.
        self.storage: Storage = Storage(None)
        self.dtype = dtype
        self.offset = offset
        self.size = size
        self.stride = stride


class QuantizedView:
    """A quantized tensor to be written. ``quantizer``: scheme, scales, zero points, and an axis if there are several."""

    __slots__ = ("view", "quantizer")

    def __init__(self, view: TensorView, quantizer: Tuple[Any, ...]) -> None:
        self.view = view
        self.quantizer = quantizer


class Rebuilt:
    """A value to be written as a call of one of the functions that ``torch.load`` allows. ``function``: its full name."""

    __slots__ = ("function", "arguments")

    def __init__(self, function: str, arguments: Tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments


class _Reference:
    __slots__ = ("storage", "kind", "elements")

    def __init__(self, storage: Storage, kind: Any, elements: int) -> None:
        self.storage = storage
        self.kind = kind
        self.elements = elements


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=2)
        self.storages: List[Storage] = []
        self._keys: dict[int, str] = {}
        self._dtypes: dict[int, str] = {}

    def persistent_id(self, obj: Any) -> Optional[Tuple[Any, ...]]:
        if type(obj) is not _Reference:
            return None
        key = self._keys.get(id(obj.storage))
        if key is None:
            key = self._keys[id(obj.storage)] = str(len(self.storages))
            self.storages.append(obj.storage)
        return ("storage", obj.kind, key, "cpu", obj.elements)

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Rebuilt:
            return _function(obj.function), obj.arguments
        if type(obj) is TensorView:
            return self._reduce(obj)
        if type(obj) is QuantizedView:
            view = obj.view
            place: Tuple[Any, ...] = (view.offset, view.size, view.stride, obj.quantizer, False, OrderedDict())
            return _function("torch._utils._rebuild_qtensor"), (self._reference(view), *place)
        return NotImplemented

    def _reduce(self, view: TensorView) -> Any:
        name = _name_of(view.dtype)
        place: Tuple[Any, ...] = (view.offset, view.size, view.stride, False, OrderedDict())
        # torch gives a storage the dtype of its first tensor: one of another dtype has to name its own.
        first = self._dtypes.setdefault(id(view.storage), name if name in STORAGES else "uint8")
        if name in STORAGES and (name == first or not hasattr(sys.modules["torch"]._utils, "_rebuild_tensor_v3")):
            return _function("torch._utils._rebuild_tensor_v2"), (self._reference(view), *place)
        torch: Any = sys.modules["torch"]
        untyped = _Reference(view.storage, torch.UntypedStorage, int(view.storage.bytes.numel()))
        return _function("torch._utils._rebuild_tensor_v3"), (untyped, *place, view.dtype)

    def _reference(self, view: TensorView) -> _Reference:
        torch: Any = sys.modules["torch"]
        self._dtypes.setdefault(id(view.storage), _name_of(view.dtype))
        elements = int(view.storage.bytes.numel()) // torch.empty(0, dtype=view.dtype).element_size()
        return _Reference(view.storage, getattr(torch, STORAGES[_name_of(view.dtype)]), elements)


def _name_of(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def _function(name: str) -> Any:
    """Finds what a full name such as "torch._utils._rebuild_qtensor" stands for."""
    module, _, attribute = name.rpartition(".")
    if module == "_codecs":
        return codecs.encode
    owner: Any = {"collections": collections}.get(module) or sys.modules[module]
    return getattr(owner, attribute)


def write(state: Any, path: str) -> Tuple[int, List[Any]]:
    """Writes ``state``, whose tensors are TensorViews, to a new file, durably.

    Returns:
        The file's size in bytes, and the flat uint8 tensors of its storages in their order.

    Raises OSError when the disk does not take it; what was written so far is then still there.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(state)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        entries = [("data.pkl", memoryview(buffer.getbuffer())), ("byteorder", memoryview(sys.byteorder.encode()))]
        entries += [(f"data/{key}", bytes_of(storage.bytes)) for key, storage in enumerate(pickler.storages)]
        entries.append(("version", memoryview(b"3\n")))
        archive = _Zip(descriptor)
        sums = _Sums([data for _, data in entries])
        for number, (name, data) in enumerate(entries):
            archive.add(name, data, partial(sums.of, number))
        size = archive.finish()
        os.fsync(descriptor)
        return size, [storage.bytes for storage in pickler.storages]
    finally:
        os.close(descriptor)


def bytes_of(flat: Any) -> memoryview:
    """Returns a view of a flat uint8 CPU tensor, without a copy; also where NumPy is not installed."""
    nbytes = int(flat.numel())
    if nbytes == 0:
        return memoryview(b"")
    try:
        return memoryview(flat.numpy())
    except RuntimeError:
        import ctypes

        return memoryview((ctypes.c_char * nbytes).from_address(flat.data_ptr())).cast("B")


class _Sums:
    """Checksums of all entries, in a thread beside the one that writes them: they cost a third of the writing."""

    def __init__(self, parts: List[memoryview]) -> None:
        self._parts = parts
        self._done: List[int] = []
        self._changed = threading.Condition()
        self._thread: Optional[threading.Thread] = None
        if sum(len(part) for part in parts) >= _THREAD_BYTES:
            self._thread = threading.Thread(target=self._run, name="trainstash-sums", daemon=True)
            self._thread.start()

    def of(self, number: int) -> int:
        if self._thread is None:
            return _crc(self._parts[number])
        with self._changed:
            self._changed.wait_for(lambda: len(self._done) > number)
            return self._done[number]

    def _run(self) -> None:
        for part in self._parts:
            crc = _crc(part)
            with self._changed:
                self._done.append(crc)
                self._changed.notify()


def _crc(data: memoryview) -> int:
    crc = 0
    for piece in _pieces(data):
        crc = zlib.crc32(piece, crc)
    return crc


class _Zip:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0
        self._entries: List[Tuple[bytes, int, int, int]] = []
        self._unsynced = 0

    def add(self, name: str, data: memoryview, crc_of: Callable[[], int]) -> None:
        full = f"{_STEM}/{name}".encode()
        size = len(data)
        wide = struct.pack("<HHQQ", 1, 16, size, size) if size >= _MAX32 else b""
        padding = -(self._at + 30 + len(full) + len(wide) + 4) % _ALIGN
        extra = wide + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        start = self._at
        # The sum goes in front of the data, and is known when that is written.
        self._at += 30 + len(full) + len(extra)
        for piece in _pieces(data):
            self._write(piece, self._at)
            self._at += len(piece)
            self._unsynced += len(piece)
            if self._unsynced >= _SYNC_BYTES:
                # So that the last one has little left to do, and no other process waits behind it.
                os.fsync(self._descriptor)
                self._unsynced = 0
        crc = crc_of()
        shown = _MAX32 if wide else size
        head = struct.pack(
            "<IHHHHHIIIHH", 0x04034B50, 45 if wide else 20, 0, 0, 0, _DOS_DATE, crc, shown, shown, len(full), len(extra)
        )
        self._write(memoryview(head + full + extra), start)
        self._entries.append((full, crc, size, start))

    def finish(self) -> int:
        directory = io.BytesIO()
        for name, crc, size, start in self._entries:
            extra = b""
            if size >= _MAX32:
                extra += struct.pack("<QQ", size, size)
            if start >= _MAX32:
                extra += struct.pack("<Q", start)
            if extra:
                extra = struct.pack("<HH", 1, len(extra)) + extra
            shown = min(size, _MAX32)
            directory.write(
                struct.pack(
                    "<IHHHHHHIIIHHHHHII",
                    0x02014B50,
                    45,
                    45 if extra else 20,
                    0,
                    0,
                    0,
                    _DOS_DATE,
                    crc,
                    shown,
                    shown,
                    len(name),
                    len(extra),
                    0,
                    0,
                    0,
                    0,
                    min(start, _MAX32),
                )
                + name
                + extra
            )
        size = directory.tell()
        start = self._at
        count = len(self._entries)
        directory.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, start))
        directory.write(struct.pack("<IIQI", 0x07064B50, 0, start + size, 1))
        short = min(count, 0xFFFF)
        directory.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, short, short, min(size, _MAX32), min(start, _MAX32), 0))
        self._write(memoryview(directory.getbuffer()), start)
        return start + directory.tell()

    def _write(self, piece: memoryview, at: int) -> None:
        done = 0
        while done < len(piece):
            done += os.pwrite(self._descriptor, piece[done:], at + done)


def _pieces(data: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
