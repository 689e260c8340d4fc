"""The bytes of storages that a state needs: each once, so that tensors that share memory still do after a resume."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Tuple

from .ptfile import Storage, TensorView

# A storage is kept whole unless it is this many times larger than what is used of it: one row must not drag its matrix along.
_MUCH_LARGER = 2
_SMALL_BYTES = 64


class _Source:
    """One storage of the process, with the views into it in the order in which they were met."""

    __slots__ = ("flat", "nbytes", "views")

    def __init__(self, flat: Any) -> None:
        self.flat = flat
        self.nbytes: int = flat.numel()
        self.views: List[_View] = []


class _View:
    """A tensor's place in its storage: ``start`` and ``end`` in bytes, ``used`` the bytes of its elements."""

    __slots__ = ("view", "tensor", "element", "used", "start", "end")

    def __init__(self, view: TensorView, tensor: Any) -> None:
        self.view = view
        self.tensor = tensor
        self.element: int = tensor.element_size()
        self.used: int = tensor.numel() * self.element
        self.start: int = view.offset * self.element if self.used else 0
        self.end: int = self.start + self.used
        if self.used and not tensor.is_contiguous():
            span = 1 + sum((size - 1) * stride for size, stride in zip(view.size, view.stride))
            self.end = self.start + span * self.element


class Layout:
    """``storages`` are, after ``finish``, pairs of a flat uint8 tensor to copy from and the storage to be written."""

    def __init__(self) -> None:
        self.storages: List[Tuple[Any, Storage]] = []
        self.nbytes = 0
        self._sources: Dict[Tuple[Any, ...], _Source] = {}

    def add(self, tensor: Any) -> TensorView:
        """Notes a tensor that has a storage, dense or quantized. Its view gets that storage with ``finish``."""
        torch: Any = sys.modules["torch"]
        untyped = untyped_storage(tensor)
        view = TensorView(tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()))
        pointer = untyped.data_ptr()
        key = (tensor.device, pointer, untyped.nbytes()) if pointer else (len(self._sources),)
        source = self._sources.get(key)
        if source is None:
            flat = torch.empty(0, dtype=torch.uint8, device=tensor.device)
            flat.set_(untyped)
            source = self._sources[key] = _Source(flat)
        source.views.append(_View(view, tensor))
        return view

    def finish(self) -> None:
        """Decides what is copied of each storage."""
        for source in self._sources.values():
            if len(source.views) == 1 and source.nbytes <= _MUCH_LARGER * max(source.views[0].used, _SMALL_BYTES):
                self._whole(source)
            else:
                self._parts(source)

    def _parts(self, source: _Source) -> None:
        used = [view for view in source.views if view.used > 0]
        pieces = _overlapping(used)
        needed = sum(_needed(piece) for piece in pieces)
        if source.nbytes <= _MUCH_LARGER * max(needed, _SMALL_BYTES):
            self._whole(source)
            return
        empty = [view for view in source.views if view.used == 0]
        for piece in pieces:
            if _is_scattered(piece):
                self._gather(piece)
            else:
                self._slice(source, piece)
        if empty:
            self._share(source.flat[:0], empty, 0)

    def _whole(self, source: _Source) -> None:
        self._share(source.flat, source.views, 0)

    def _slice(self, source: _Source, piece: List[_View]) -> None:
        # Offsets are in elements, and the elements of one storage may differ in size.
        largest = max(view.element for view in piece)
        start = min(view.start for view in piece) // largest * largest
        self._share(source.flat[start : max(view.end for view in piece)], piece, start)

    def _gather(self, piece: List[_View]) -> None:
        compact = piece[0].tensor.clone(memory_format=sys.modules["torch"].contiguous_format)
        flat = sys.modules["torch"].empty(0, dtype=sys.modules["torch"].uint8, device=compact.device)
        flat.set_(untyped_storage(compact))
        for view in piece:
            view.view.offset, view.view.stride = 0, tuple(int(n) for n in compact.stride())
        self._share(flat, piece, 0, moved=True)

    def _share(self, flat: Any, views: List[_View], start: int, moved: bool = False) -> None:
        storage = Storage(flat)
        self.storages.append((flat, storage))
        self.nbytes += flat.numel()
        for view in views:
            view.view.storage = storage
            if not moved and view.used > 0:
                view.view.offset -= start // view.element
            elif not moved:
                view.view.offset = 0


def _overlapping(views: List[_View]) -> List[List[_View]]:
    """Groups of views whose bytes overlap."""
    groups: List[List[_View]] = []
    end = -1
    for view in sorted(views, key=lambda view: view.start):
        if view.start < end:
            groups[-1].append(view)
        else:
            groups.append([view])
        end = max(end, view.end)
    return groups


def _is_scattered(piece: List[_View]) -> bool:
    """Tells one tensor, however often, whose elements lie far apart, such as a column of a matrix."""
    first = piece[0].view
    if any((one.view.offset, one.view.size, one.view.stride, one.view.dtype) != (first.offset, first.size, first.stride, first.dtype) for one in piece):
        return False
    return piece[0].end - piece[0].start > _MUCH_LARGER * max(piece[0].used, _SMALL_BYTES)


def _needed(piece: List[_View]) -> int:
    if _is_scattered(piece):
        return piece[0].used
    return max(view.end for view in piece) - min(view.start for view in piece)


def untyped_storage(tensor: Any) -> Any:
    """Returns a tensor's bytes: torch 2 has a method for them, torch 1 hides them in the typed storage."""
    if hasattr(tensor, "untyped_storage"):
        return tensor.untyped_storage()
    typed = tensor.storage()
    return typed._storage if hasattr(typed, "_storage") else typed.untyped()
