"""A copy of the state as it is now, into memory that is used again for the next one: fresh memory costs several times
the copy itself. A tensor that shares its storage with another still does so in the copy."""

from __future__ import annotations

import ctypes
import gc
import threading
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .codec import Walk
from .layout import Layout

# A copy of the state could end the training if less memory is free than this many times the state.
MEMORY_FACTOR = 1.5
_TWO_THREADS_BYTES = 64 << 20


class Staged:
    """The state that ``ptfile.write`` takes, with what must have happened before the bytes are there."""

    __slots__ = ("state", "nbytes", "events", "lost", "is_copy", "sharded")

    def __init__(self, state: Any, nbytes: int, events: List[Any], lost: List[Tuple[str, str]], is_copy: bool) -> None:
        self.state = state
        self.nbytes = nbytes
        # The copies from a GPU are done when these have happened.
        self.events = events
        #: The parts that are not in it: pairs of a place such as "model.adj" and a reason.
        self.lost = lost
        #: Tensors that each process writes a part of, by the place at which they belong: the live ones.
        self.sharded: Dict[str, Any] = {}
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
        """Copies a state into memory of its own; with too little of that free, takes the live tensors themselves."""
        was_collecting = gc.isenabled()
        # Thousands of small objects make the collector look at all of the training's, which takes longer than the copy.
        gc.disable()
        try:
            return self._copy(live)
        finally:
            if was_collecting:
                gc.enable()

    def _copy(self, live: Mapping[str, Any]) -> Staged:
        if self._toucher is not None:
            self._toucher.join()
            self._toucher = None
        walk = Walk()
        state = walk.plan(live)
        layout = walk.layout
        is_copy = self._fits(layout)
        if not is_copy:
            self._buffers = {}
        events: List[Any] = []
        devices = set()
        on_cpu: List[Tuple[int, int, int]] = []
        for number, (flat, storage) in enumerate(layout.storages):
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
        staged = Staged(state, layout.nbytes, events, walk.lost, is_copy)
        staged.sharded = walk.sharded
        return staged

    def _fits(self, layout: Layout) -> bool:
        if all((number, int(flat.numel())) in self._buffers for number, (flat, _) in enumerate(layout.storages)):
            return True
        free = available_memory()
        return free is None or free >= MEMORY_FACTOR * layout.nbytes

    def prepare(self, live: Mapping[str, Any]) -> None:
        """Gets the memory for the first copy in the background, and touches it."""
        walk = Walk()
        walk.plan(live)
        layout = walk.layout
        if not self._fits(layout):
            return
        wanted = [(number, flat) for number, (flat, _) in enumerate(layout.storages)]

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
    """Copies ``pieces``: target, source and size of each. In two threads when there is much of it: one alone does not reach the
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


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.readlines()
    except (OSError, ValueError):
        return []


