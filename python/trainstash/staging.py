"""A copy of the state as it is now, into memory that is used again for the next one: fresh memory costs several times
the copy itself. A tensor that shares its storage with another still does so in the copy."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import OrderedDict
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .ptfile import Storage, TensorView

_ARRAY = "trainstash.array"
_SET = "trainstash.set"
_PLAIN = (int, float, str, bool, type(None), bytes)
# A view is copied alone when its storage is this much larger: one row must not drag its matrix along.
_MUCH_LARGER = 2
# With less free memory than this many times the state, a copy of it could end the training.
MEMORY_FACTOR = 1.5
_TWO_THREADS_BYTES = 64 << 20


class Staged:
    """What ``ptfile.write`` takes, with what must have happened before the bytes are there."""

    __slots__ = ("state", "nbytes", "events", "dropped", "is_copy")

    def __init__(self, state: Any, nbytes: int, events: List[Any], dropped: List[str], is_copy: bool) -> None:
        self.state = state
        self.nbytes = nbytes
        # Of CUDA: the copies to the host are done when these are.
        self.events = events
        # Places of values that no checkpoint can hold: functions, open files, objects of classes.
        self.dropped = dropped
        # False: these are the live tensors, which must not change until they are written.
        self.is_copy = is_copy

    def wait(self) -> None:
        for event in self.events:
            event.synchronize()


class Staging:
    def __init__(self) -> None:
        self._buffers: Dict[Tuple[int, int], Any] = {}
        self._toucher: Optional[threading.Thread] = None

    def copy(self, live: Mapping[str, Any]) -> Staged:
        """Into memory of its own; with too little of that free, the live tensors themselves."""
        if self._toucher is not None:
            self._toucher.join()
            self._toucher = None
        walk = _Walk()
        state = walk.plan(live)
        is_copy = self._fits(walk)
        if not is_copy:
            self._buffers = {}
        events: List[Any] = []
        devices = set()
        on_cpu: List[Tuple[int, int, int]] = []
        for number, (flat, storage) in enumerate(walk.storages):
            if not is_copy and flat.device.type == "cpu":
                storage.bytes = flat
                continue
            buffer = self._buffer(number, flat)
            storage.bytes = buffer
            if flat.device.type == "cpu":
                on_cpu.append((buffer.data_ptr(), flat.data_ptr(), int(flat.numel())))
                continue
            buffer.copy_(flat, non_blocking=True)
            if flat.device.type == "cuda":
                devices.add(flat.device)
        _copy_all(on_cpu)
        for device in devices:
            import torch

            # On the stream that computes: the next update of a weight comes after it.
            event: Any = torch.cuda.Event()
            event.record(torch.cuda.current_stream(device))
            events.append(event)
        return Staged(state, walk.nbytes, events, walk.dropped, is_copy)

    def _fits(self, walk: _Walk) -> bool:
        if all((number, int(flat.numel())) in self._buffers for number, (flat, _) in enumerate(walk.storages)):
            return True
        free = available_memory()
        return free is None or free >= MEMORY_FACTOR * walk.nbytes

    def prepare(self, live: Mapping[str, Any]) -> None:
        """Gets the memory for the first copy in the background, and touches it."""
        walk = _Walk()
        walk.plan(live)
        if not self._fits(walk):
            return
        wanted = [(number, flat) for number, (flat, _) in enumerate(walk.storages)]

        def touch() -> None:
            for number, flat in wanted:
                self._buffer(number, flat).zero_()

        self._toucher = threading.Thread(target=touch, name="trainstash-memory", daemon=True)
        self._toucher.start()

    def _buffer(self, number: int, flat: Any) -> Any:
        import torch

        key = (number, int(flat.numel()))
        buffer = self._buffers.get(key)
        if buffer is None:
            for old in [known for known in self._buffers if known[0] == number]:
                del self._buffers[old]
            pinned = flat.device.type == "cuda"
            buffer = self._buffers[key] = torch.empty(int(flat.numel()), dtype=torch.uint8, pin_memory=pinned)
        return buffer


def _copy_all(pieces: List[Tuple[int, int, int]]) -> None:
    """``pieces``: target, source and size of each. In two threads when there is much of it: one alone does not reach the
    memory's speed, and torch's own, asleep between two steps, take longer to wake than a tensor takes to be copied."""
    if sum(size for _, _, size in pieces) < _TWO_THREADS_BYTES:
        _copy(pieces)
        return
    ordered = sorted(pieces, key=lambda piece: -piece[2])
    helper = threading.Thread(target=_copy, args=(ordered[1::2],))
    helper.start()
    _copy(ordered[::2])
    helper.join()


def _copy(pieces: List[Tuple[int, int, int]]) -> None:
    # Releases the interpreter's lock.
    for target, source, size in pieces:
        ctypes.memmove(target, source, size)


def available_memory() -> Optional[int]:
    """Bytes that can be had without swapping or an end by the kernel; None when nobody says."""
    found: List[int] = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].strip().isdigit():
        found.append(int(limit[0]) - int(used[0]))
    return min(found) if found else None


def decode(value: Any) -> Any:
    """Back from what a checkpoint holds to what the user's object had."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] == _ARRAY:
        return value[1].numpy()
    if isinstance(value, tuple) and len(value) == 2 and value[0] == _SET:
        return set(decode(item) for item in value[1])
    if isinstance(value, dict):
        items = [(key, decode(item)) for key, item in value.items()]
        if type(value) is OrderedDict:
            return _ordered(items, getattr(value, "_metadata", None))
        return dict(items)
    if isinstance(value, (list, tuple)):
        return type(value)(decode(item) for item in value)
    return value


class _Walk:
    """Lists the storages of a state once each, in the order in which they are met."""

    def __init__(self) -> None:
        self.storages: List[Tuple[Any, Storage]] = []
        self.nbytes = 0
        self.dropped: List[str] = []
        self._known: Dict[Tuple[Any, ...], Storage] = {}

    def plan(self, value: Any, place: str = "") -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            return self._tensor(value, place)
        if isinstance(value, _PLAIN):
            # A pickle refers back to the text that it has seen: equal texts must be one, or equal states give other bytes.
            if isinstance(value, str):
                return sys.intern(str(value))
            # Subclasses (an enum of ints) would be pickled as such.
            for plain in (bool, int, float, bytes):
                if isinstance(value, plain):
                    return plain(value)  # type: ignore[arg-type]
            return None
        if isinstance(value, Mapping):
            items = []
            for key, item in value.items():
                if not isinstance(key, (str, int, float, bool, type(None), tuple)):
                    self.dropped.append(f"{place}.{key!r}")
                    continue
                planned = self.plan(item, f"{place}.{key}" if place else str(key))
                if planned is not _NOTHING:
                    items.append((sys.intern(str(key)) if isinstance(key, str) else key, planned))
            if isinstance(value, OrderedDict):
                return _ordered(items, getattr(value, "_metadata", None))
            return dict(items)
        if isinstance(value, (list, tuple)):
            listed = [self.plan(item, f"{place}[{i}]") for i, item in enumerate(value)]
            if any(item is _NOTHING for item in listed):
                return _NOTHING
            return tuple(listed) if isinstance(value, tuple) else listed
        if isinstance(value, (set, frozenset)):
            return (_SET, self.plan(sorted(value, key=repr), place))
        return self._other(value, place)

    def _other(self, value: Any, place: str) -> Any:
        import torch

        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic):
            return self.plan(value.item(), place)
        if numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.kind in "fiub":
            try:
                return (_ARRAY, self._tensor(torch.from_numpy(numpy.ascontiguousarray(value)), place))
            except TypeError:
                pass
        # Functions, and the optimizer that a schedule drives: their constructor has put them there, and does so again.
        if not callable(value) and not hasattr(value, "param_groups"):
            self.dropped.append(place)
        return _NOTHING

    def _tensor(self, tensor: Any, place: str) -> Any:
        import torch

        device = tensor.device
        if tensor.layout != torch.strided or tensor.is_quantized or device.type == "meta":
            self.dropped.append(f"{place} ({tensor.layout} tensor)")
            return _NOTHING
        if hasattr(tensor, "to_local"):
            self.dropped.append(f"{place} (sharded tensor)")
            return _NOTHING
        if tensor.is_complex():
            tensor = tensor.detach().resolve_conj()
        if tensor.is_neg():
            tensor = tensor.detach().resolve_neg()
        untyped = untyped_storage(tensor)
        element = tensor.element_size()
        used = tensor.numel() * element
        total = untyped.nbytes()
        offset, size, stride = tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())
        if total > _MUCH_LARGER * max(used, 64) and used > 0:
            compact = tensor.detach().clone()
            untyped, offset, stride = untyped_storage(compact), 0, tuple(compact.stride())
            total = untyped.nbytes()
        key = (device, untyped.data_ptr(), total)
        storage = self._known.get(key) if key[1] else None
        if storage is None:
            flat = torch.empty(0, dtype=torch.uint8, device=device)
            flat.set_(untyped)
            storage = Storage(flat)
            self._known[key] = storage
            self.storages.append((flat, storage))
            self.nbytes += total
        return TensorView(storage, tensor.dtype, offset, size, stride, False)


class _Nothing:
    pass


_NOTHING = _Nothing()


def untyped_storage(tensor: Any) -> Any:
    """torch 2 has a method; torch 1 hides it in the typed one."""
    if hasattr(tensor, "untyped_storage"):
        return tensor.untyped_storage()
    typed = tensor.storage()
    return typed._storage if hasattr(typed, "_storage") else typed.untyped()


def _ordered(items: List[Tuple[Any, Any]], metadata: Any) -> Any:
    ordered = OrderedDict(items)
    if isinstance(metadata, Mapping):
        # Versions of the modules, which `load_state_dict` looks at.
        plain = {str(name): {str(k): v for k, v in entry.items() if isinstance(v, _PLAIN)} for name, entry in metadata.items()}
        ordered._metadata = plain  # type: ignore[attr-defined]
    return ordered


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.readlines()
    except (OSError, ValueError):
        return []


