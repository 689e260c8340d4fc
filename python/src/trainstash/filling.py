"""Fills memory from a file by several threads, each of which reads a piece and sums it; both leave the interpreter's lock."""

from __future__ import annotations

import os
import threading
import zlib
from typing import Any, Dict, List, Tuple

from .ptfile import bytes_of

#: The place of a storage's bytes in the file, their number, and their CRC-32.
Entry = Tuple[int, int, int]

_THREADS = 4
_TASK_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
_POLYNOMIAL = 0xEDB88320


class _Task:
    """A part of one storage; ``crc`` is its checksum afterwards."""

    def __init__(self, view: memoryview, start: int) -> None:
        self.view = view
        self.start = start
        self.crc = 0


def fill(path: str, entries: List[Entry], verified: bool) -> List[Any]:
    """Reads storages into new memory.

    Args:
        path: The file.
        entries: Its storages.
        verified: Leaves the checksums out.

    Returns:
        A flat uint8 tensor for each entry.

    Raises:
        ValueError: A checksum is another, or the file breaks off.
        OSError: It cannot be read.
    """
    if not entries:
        return []
    import torch

    tensors = [torch.empty(size, dtype=torch.uint8) for _, size, _ in entries]
    views = [bytes_of(tensor) for tensor in tensors]
    parts = [_parts(view, start) for view, (start, _, _) in zip(views, entries)]
    _Workers(path, [task for tasks in parts for task in tasks], verified).run()
    if not verified:
        for number, (tasks, (_, _, crc)) in enumerate(zip(parts, entries)):
            if _total(tasks) != crc:
                raise ValueError(f"it is damaged: the bytes of storage {number} are others than were written")
    return tensors


def _parts(view: memoryview, start: int) -> List[_Task]:
    return [_Task(view[at : at + _TASK_BYTES], start + at) for at in range(0, len(view), _TASK_BYTES)]


def _total(tasks: List[_Task]) -> int:
    crc = 0
    for number, task in enumerate(tasks):
        crc = task.crc if number == 0 else combined(crc, task.crc, len(task.view))
    return crc


class _Workers:
    def __init__(self, path: str, tasks: List[_Task], verified: bool) -> None:
        self._path = path
        # The largest first, so that the threads end together.
        self._tasks = sorted(tasks, key=lambda task: len(task.view))
        self._verified = verified
        self._lock = threading.Lock()
        self._errors: List[BaseException] = []

    def run(self) -> None:
        nbytes = sum(len(task.view) for task in self._tasks)
        count = 1 if nbytes < _TASK_BYTES else min(_THREADS, os.cpu_count() or 1)
        helpers = [threading.Thread(target=self._work, name="trainstash-reader", daemon=True) for _ in range(count - 1)]
        for helper in helpers:
            helper.start()
        self._work()
        for helper in helpers:
            helper.join()
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        try:
            with open(self._path, "rb", buffering=0) as file:
                while not self._errors:
                    with self._lock:
                        if not self._tasks:
                            return
                        task = self._tasks.pop()
                    self._read(file, task)
        except BaseException as error:
            self._errors.append(error)

    def _read(self, file: Any, task: _Task) -> None:
        file.seek(task.start)
        crc, done = 0, 0
        while done < len(task.view):
            # Small enough to be in the processor's cache still when it is summed.
            piece = task.view[done : done + _PIECE_BYTES]
            got = file.readinto(piece)
            if not got:
                raise ValueError("it breaks off")
            if not self._verified:
                crc = zlib.crc32(piece[:got], crc)
            done += got
        task.crc = crc


def combined(first: int, second: int, length: int) -> int:
    """Computes the CRC-32 of two runs of bytes, one after the other. ``length``: bytes of the second."""
    for column, bit in zip(_zeros(length), range(32)):
        if first >> bit & 1:
            second ^= column
    return second


_known: Dict[int, List[int]] = {}


def _zeros(length: int) -> List[int]:
    """Returns the effect of ``length`` bytes of zero on a checksum, as a matrix of 32 columns over the field of two elements."""
    if length not in _known:
        power = [_POLYNOMIAL, *(1 << bit for bit in range(31))]
        matrix, bits = [1 << bit for bit in range(32)], length * 8
        while bits:
            if bits & 1:
                matrix = [_times(power, column) for column in matrix]
            power = [_times(power, column) for column in power]
            bits >>= 1
        if len(_known) > 100:
            _known.clear()
        _known[length] = matrix
    return _known[length]


def _times(matrix: List[int], vector: int) -> int:
    product, column = 0, 0
    while vector:
        if vector & 1:
            product ^= matrix[column]
        vector >>= 1
        column += 1
    return product
