"""The contents of a data set, told by a few of its bytes. No item is asked for: that would draw random numbers, count calls,
and wait for the disk. A thread looks at the tensors, arrays, lists and paths that the data set is made of."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import weakref
from typing import Any, Dict, List, Mapping, Optional, Tuple

# So many elements of each part are looked at: evenly spread, the first and the last among them.
_SAMPLES = 64
_MOST_PARTS = 200
_DEPTH = 4
_FILE_BYTES = 4096
_MOST_FILES = 32

# By identity: a comparison of two tensors is no answer, and one of a user's objects may do anything.
_known: Dict[int, Tuple[weakref.ref[Any], Contents]] = {}


def contents_of(dataset: Any) -> Contents:
    """Returns the contents as they were when the data set was first seen: one may fill a cache while it is read."""
    key = id(dataset)
    known = _known.get(key)
    if known is not None and known[0]() is dataset:
        return known[1]
    made = Contents(dataset)
    with contextlib.suppress(TypeError):  # A list cannot be referred to.
        _known[key] = (weakref.ref(dataset, lambda gone: _forget(key, gone)), made)
    return made


def _forget(key: int, gone: weakref.ref[Any]) -> None:
    """Drops a data set that is gone, unless another has got its place in memory."""
    known = _known.get(key)
    if known is not None and known[0] is gone:
        del _known[key]


class Contents:
    """A look at a data set, which begins when this is made. The answer is the same in every process that has the same data."""

    def __init__(self, dataset: Any) -> None:
        self._found: Optional[str] = None
        self._thread = threading.Thread(target=self._look, args=(dataset,), name="trainstash-data", daemon=True)
        self._thread.start()

    def fingerprint(self) -> Optional[str]:
        """Returns a short text; None when the data set is not made of anything that can be looked at."""
        self._thread.join()
        return self._found

    def _look(self, dataset: Any) -> None:
        try:
            self._found = fingerprint_of(dataset)
        except Exception:
            self._found = None  # A data set may fail when it is looked at; that is not ours to judge.


def fingerprint_of(dataset: Any) -> Optional[str]:
    """Computes the fingerprint itself, at once."""
    known = getattr(dataset, "_fingerprint", None)
    if isinstance(known, str):
        return known  # Hugging Face's own: a digest of the data and of what was done to it.
    look = _Look()
    look.at(dataset, 0)
    return look.digest.hexdigest() if look.found else None


class _Look:
    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=8)
        self.found = False
        self._parts = 0
        self._files = 0

    def at(self, value: Any, depth: int) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS or depth > _DEPTH:
            return
        if _is_array(value):
            self._note(_array(value))
        elif isinstance(value, (list, tuple)):
            self._list(value, depth)
        elif isinstance(value, Mapping):
            for key in _spread(sorted(value, key=repr)):
                self._note(("key", key) if _is_plain(key) else ("key",))
                self.at(value[key], depth + 1)
        elif isinstance(value, range) or (_is_plain(value) and depth > 1):
            self._plain(value)
        elif hasattr(value, "__dict__") and not callable(value):
            for name in sorted(vars(value)):
                # A flag or a counter at the top describes the reading, not the data.
                if depth > 0 or not _is_plain(vars(value)[name]):
                    self.at(vars(value)[name], depth + 1)

    def _list(self, value: Any, depth: int) -> None:
        self._note(("list", len(value)))
        for item in _spread(value):
            if _is_plain(item):
                self._plain(item)
            elif _is_array(item):
                self._note(_array(item))
            else:
                self.at(item, depth + 1)

    def _plain(self, value: Any) -> None:
        # The folder that the data lies in is another one on another machine.
        self._note(os.path.basename(value) if _is_path(value) else value)
        self._file(value)

    def _file(self, value: Any) -> None:
        """Reads the size and the first bytes of a file. Its time would be another one in every copy of the data."""
        if not _is_path(value) or self._files >= _MOST_FILES:
            return
        try:
            with open(value, "rb") as file:
                self._files += 1
                self._note((os.fstat(file.fileno()).st_size, file.read(_FILE_BYTES)))
        except (OSError, ValueError):
            return

    def _note(self, value: Any) -> None:
        self.found = True
        self.digest.update(repr(value).encode())


def _array(value: Any) -> Tuple[Any, ...]:
    """Reads an array's type, its shape and a few elements."""
    shape = tuple(value.shape)
    count = 1
    for size in shape:
        count *= int(size)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.device.type != "cpu" or value.layout != torch.strided:
            return ("tensor", str(value.dtype), shape)  # To read it there would wait for the device.
        flat = value.detach().reshape(-1) if value.is_contiguous() else None
        some = [flat[i].item() for i in _spread(range(count))] if flat is not None else value.detach()[_first(value)][:_SAMPLES].tolist()
        return ("tensor", str(value.dtype), shape, some)
    flat = value.reshape(-1) if value.flags.c_contiguous else value.flat
    return ("array", str(value.dtype), shape, [repr(flat[i]) for i in _spread(range(count))])


def _first(value: Any) -> Any:
    return tuple(0 for _ in range(value.dim() - 1)) if value.dim() > 1 else slice(0, _SAMPLES)


def _spread(values: Any) -> List[Any]:
    count = len(values)
    if count <= _SAMPLES:
        return list(values)
    return [values[i * (count - 1) // (_SAMPLES - 1)] for i in range(_SAMPLES)]


def _is_array(value: Any) -> bool:
    for name, kind in (("torch", "Tensor"), ("numpy", "ndarray")):
        module = sys.modules.get(name)
        if module is not None and isinstance(value, getattr(module, kind)):
            return True
    return False


def _is_path(value: Any) -> bool:
    return isinstance(value, os.PathLike) or (isinstance(value, str) and os.sep in value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, str, bytes, bool, os.PathLike))
