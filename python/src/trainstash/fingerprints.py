"""Cheap notes of the first steps after each checkpoint: the batch, the random numbers, the rates, the metrics. A resume compares
its own with them at once, and names the first that differs. Values on a device are read later, with others."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import sys
import threading
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from . import rng
from .numbers import as_number, wire_number
from .tracked import is_optimizer

NOTES_FILE = "fingerprints.ndjson"
# Steps after a checkpoint that are noted.
_STEPS = 4
_SAMPLES = 64
_MOST_LEAVES = 32
# Metrics of a resumed run are compared for so many steps, of event files that are no larger than this.
_COMPARED_STEPS = 500
_MOST_EVENT_BYTES = 64 << 20


class Difference(NamedTuple):
    """The first thing that a resume computed otherwise. ``kind`` is that of an ingredient."""

    step: int
    kind: str
    text: str


class _Note:
    __slots__ = ("step", "facts", "late")

    def __init__(self, step: int, facts: Dict[str, Any], late: List[Any]) -> None:
        self.step = step
        self.facts = facts
        #: Samples of batches that are on a device.
        self.late = late


class Fingerprints:
    """The fingerprints of one launch.

    Args:
        folder: The session's; None writes nothing down.
        objects: The tracked objects.
        differs: Told once, of the first difference.
    """

    def __init__(self, folder: Optional[str], objects: Mapping[str, Any], differs: Callable[[Difference], None]) -> None:
        self._folder = folder
        self._objects = objects
        self._differs = differs
        self._left = 0
        self._digest = hashlib.blake2b(digest_size=8)
        self._late: List[Any] = []
        self._waiting: List[_Note] = []
        self._before: Optional[_Before] = None
        self._is_over = False

    @property
    def is_noting(self) -> bool:
        return self._left > 0

    def taken(self) -> None:
        """Begins to note the steps that follow a checkpoint."""
        self.read_late()
        self._left = _STEPS
        self._digest = hashlib.blake2b(digest_size=8)
        self._late = []

    def resume(self, folder: str, step: int) -> None:
        """Goes on from a checkpoint that the session in this folder took. What it noted afterwards is read in a thread."""
        self._before = _Before(folder, step)
        self._left = _STEPS

    def received(self, batch: Any) -> None:
        """Adds a batch that the loop is given. Only while ``is_noting``."""
        with contextlib.suppress(Exception):
            self._late += sample(batch, self._digest)

    def stepped(self, step: int, metrics: Mapping[str, float]) -> None:
        """Notes an optimizer step that was done and logged."""
        if self._left > 0:
            self._left -= 1
            facts = {"batch": self._digest.hexdigest(), "random": rng.fingerprint(), "rates": _rates(self._objects)}
            self._digest, late, self._late = hashlib.blake2b(digest_size=8), self._late, []
            note = _Note(step, facts, late)
            if late:
                self._waiting.append(note)
            else:
                self._finish(note)
        if metrics:
            self.logged(step, metrics)

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """Values that were logged for a step, now or earlier."""
        before = self._before
        if before is None or self._is_over:
            return
        then = before.metrics_of(step)
        for name, value in metrics.items() if then else ():
            known = then.get(name)
            if known is not None and wire_number(value) != known:
                self._say(Difference(step, "other", f"{name} of step {step:,} is another ({known} before, {wire_number(value)} now)"))
                return

    def read_late(self) -> None:
        """Reads what is still on a device; waits for it."""
        waiting, self._waiting = self._waiting, []
        for note in waiting:
            digest = hashlib.blake2b(note.facts["batch"].encode(), digest_size=8)
            with contextlib.suppress(Exception):
                digest.update(repr([one.tolist() for one in note.late]).encode())
            note.facts["batch"] = digest.hexdigest()
            self._finish(note)

    def _finish(self, note: _Note) -> None:
        if self._folder is not None:
            line = json.dumps({"step": note.step, **note.facts}) + "\n"
            with contextlib.suppress(OSError), open(os.path.join(self._folder, NOTES_FILE), "a", encoding="utf-8") as file:
                file.write(line)
        before = self._before
        then = before.note_of(note.step) if before is not None and not self._is_over else None
        if then is not None:
            difference = _compared(note.step, then, note.facts)
            if difference is not None:
                self._say(difference)

    def _say(self, difference: Difference) -> None:
        self._is_over = True
        self._differs(difference)


class _Before:
    """The notes that an earlier session made after the checkpoint."""

    def __init__(self, folder: str, step: int) -> None:
        self._notes: Dict[int, Dict[str, Any]] = {}
        self._metrics: Dict[int, Dict[str, Any]] = {}
        self._thread = threading.Thread(target=self._read, args=(folder, step), name="trainstash-before", daemon=True)
        self._thread.start()

    def note_of(self, step: int) -> Optional[Dict[str, Any]]:
        self._thread.join()
        return self._notes.get(step)

    def metrics_of(self, step: int) -> Dict[str, Any]:
        self._thread.join()
        return self._metrics.get(step, {})

    def _read(self, folder: str, step: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            for note in _lines(os.path.join(folder, NOTES_FILE)):
                if note["step"] > step:
                    self._notes[note["step"]] = note
        with contextlib.suppress(OSError, ValueError):
            path = os.path.join(folder, "events.ndjson")
            if os.path.getsize(path) > _MOST_EVENT_BYTES:
                return
            for event in _lines(path, '"type":"metrics"'):
                if step < event["step"] <= step + _COMPARED_STEPS:
                    self._metrics.setdefault(event["step"], {}).update(event["values"])


def sample(value: Any, digest: Any, leaves: Optional[List[int]] = None) -> List[Any]:
    """Adds a few elements of a batch to a digest. Returns samples of what is on a device, to be read later."""
    leaves = leaves if leaves is not None else [0]
    leaves[0] += 1
    if leaves[0] > _MOST_LEAVES:
        return []
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(torch, value, digest)
    if numpy is not None and isinstance(value, numpy.ndarray):
        digest.update(repr((value.dtype.str, value.shape)).encode())
        digest.update(value.reshape(-1)[:: max(1, value.size // _SAMPLES)].tobytes() if value.flags.c_contiguous else b"")
        return []
    if hasattr(value, "is_dense") and type(value).__module__.startswith("paddle"):
        return _of_paddle(value, digest)
    if isinstance(value, Mapping):
        return [late for key in value for late in sample(value[key], digest, leaves)]
    if isinstance(value, (list, tuple)):
        return [late for item in value for late in sample(item, digest, leaves)]
    if isinstance(value, (int, float, str, bytes, bool, type(None))):
        digest.update(repr(value).encode())
    return []


def _tensor(torch: Any, value: Any, digest: Any) -> List[Any]:
    digest.update(repr((value.dtype, tuple(value.shape))).encode())
    if value.layout != torch.strided or value.device.type == "meta" or value.numel() == 0:
        return []
    with torch.no_grad():
        flat = value.detach().reshape(-1) if value.is_contiguous() else value.detach()[(0,) * (value.dim() - 1)]
        some = flat[:: max(1, flat.numel() // _SAMPLES)].clone()
    if value.device.type != "cpu":
        return [some]
    digest.update(ctypes.string_at(some.data_ptr(), some.numel() * some.element_size()))
    return []


def _of_paddle(value: Any, digest: Any) -> List[Any]:
    flat = value.detach().flatten()[:: max(1, int(value.size) // _SAMPLES)]
    digest.update(repr((str(value.dtype), tuple(value.shape))).encode())
    if not value.place.is_cpu_place():
        return [flat.clone()]
    digest.update(flat.numpy().tobytes())
    return []


def _rates(objects: Mapping[str, Any]) -> List[Any]:
    """Returns the rate of each group; None for one that is on a device."""
    rates = []
    for value in objects.values():
        for group in value.param_groups if is_optimizer(value) else ():
            rate = group.get("lr")
            rates.append(None if getattr(getattr(rate, "device", None), "type", "cpu") != "cpu" else as_number(rate))
    return rates


def _compared(step: int, then: Mapping[str, Any], now: Mapping[str, Any]) -> Optional[Difference]:
    if then.get("batch") != now["batch"]:
        return Difference(step, "data", f"the batch of step {step:,} is another: the order of the data was not restored")
    if then.get("random") != now["random"]:
        return Difference(step, "random", f"the random numbers of step {step:,} are others")
    for before, after in zip(then.get("rates") or [], now["rates"]):
        if before != after:
            return Difference(step, "schedule", f"the learning rate of step {step:,} is another ({before} before, {after} now)")
    return None


def _lines(path: str, holding: str = "") -> List[Dict[str, Any]]:
    found = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if holding in line:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue  # A line that a full disk has cut.
    return found
