"""Streams: data that has no index, and is read again from its beginning by a resume. What a stream draws is a function of (seed, pass)
and apart from what the loop draws, and the batches that were passed are compared with those of before."""

from __future__ import annotations

import collections
import hashlib
import sys
from typing import Any, Deque, Dict, FrozenSet, Iterator, Mapping, Optional

from . import rng
from .fingerprints import sample
from .order import Place
from .understood import Look, set_for_each_epoch

# Batches that an adapter may have fetched ahead of the training.
_MOST_GIVEN_AGAIN = 64
IS_READ_AGAIN = "it has no state_dict, and is read again up to the place"


class Stream:
    """One stream, with the place at which the loop stands in it."""

    def __init__(self, loader: Any, place: Place) -> None:
        self._loader = self._source = loader
        self._place = place
        self._parts: Dict[str, Any] = {}
        #: The reason why a resume may read something else; None: it was found that it reads the same.
        self.lacks = self._refused()
        self._ignored: FrozenSet[str] = frozenset()
        if self.lacks is None:
            self._source, self._parts, self._ignored = _parts_of(loader)
            self.lacks = self._not_understood(self._look())
        #: True: what it draws is kept apart from what the loop draws.
        self.is_apart = self.lacks is None
        self._first: Optional[Look] = None
        self._began = ""
        # Digests of the newest batches of this pass, each with all before it.
        self._passed: Deque[str] = collections.deque([""], maxlen=_MOST_GIVEN_AGAIN)
        self._expected: Optional[Mapping[str, str]] = None
        #: True: a resume has read other batches than were read before.
        self.differs = False

    def begin(self) -> Iterator[Any]:
        """Begins a pass, behind the batches that are passed over."""
        self._passed = collections.deque([""], maxlen=_MOST_GIVEN_AGAIN)
        if not self.is_apart:
            return self._begin_on_trust()
        now = self._look()
        self._first = self._first or now
        self._began = now.digest()
        draws = rng.Draws(rng.mix(self._place.seed, "stream", self._place.key, self._place.turn), now.generators)
        skip, expected = self._place.skip, self._expected
        self._expected = None
        with draws:
            source: Iterator[Any] = iter(self._source)
        batches = self._batches(source, draws)
        read = sum(1 for _, _ in zip(range(skip), batches))
        if expected is not None and (read < skip or expected["passed"] != self._passed[-1]):
            self.differs = True
            self._lose(f"read again up to the place, it gave other batches than before (batches 1 to {skip:,})")
        elif expected is not None and expected["began"] != self._began:
            self._lose(f"{IS_READ_AGAIN}; its objects are others than before")
        return batches

    def state(self, given_again: int) -> Dict[str, str]:
        """Returns what a resume compares with: the stream as it was when the pass began, and the batches that were passed."""
        passed = self._passed[-1 - given_again] if given_again < len(self._passed) else "unknown"
        return {"began": self._began, "passed": passed}

    def expect(self, saved: Optional[Mapping[str, str]], skip: int) -> None:
        """Takes what a checkpoint holds. None: a version took it that kept the draws of a stream together with the loop's."""
        self._expected = saved
        if saved is None and skip > 0 and self.is_apart:
            self._lose(IS_READ_AGAIN)

    def look_again(self) -> None:
        """Looks whether reading it has changed anything. Call it before ``lacks`` is asked for at a checkpoint."""
        if self.is_apart and self._first is not None and self.lacks is None:
            now = self._look()
            changed = now.changed_since(self._first)
            self.lacks = self._not_understood(now) or (f"{changed} changes while it is read, and starts again" if changed else None)

    def _refused(self) -> Optional[str]:
        loader = self._loader
        if hasattr(loader, "__next__"):
            return IS_READ_AGAIN
        if getattr(loader, "num_workers", 0) and (getattr(loader, "persistent_workers", False) or getattr(loader, "_persistent_workers", False)):
            return f"{IS_READ_AGAIN}; its workers stay, with what they have drawn"
        if getattr(loader, "in_order", True) is False:
            return f"{IS_READ_AGAIN}; its workers give batches in any order"
        return None

    def _look(self) -> Look:
        return Look(self._parts, self._ignored)

    def _not_understood(self, look: Look) -> Optional[str]:
        return f"{IS_READ_AGAIN}; {look.problem}" if look.problem is not None else None

    def _lose(self, why: str) -> None:
        self.lacks = self.lacks or why

    def _begin_on_trust(self) -> Iterator[Any]:
        iterator: Iterator[Any] = iter(self._loader)
        for _ in range(self._place.skip):
            next(iterator, None)
        return iterator

    def _batches(self, source: Iterator[Any], draws: rng.Draws) -> Iterator[Any]:
        while True:
            with draws:
                batch = next(source, _END)
            if batch is _END:
                return
            self._note(batch)
            yield batch

    def _note(self, batch: Any) -> None:
        digest = hashlib.blake2b(self._passed[-1].encode(), digest_size=8)
        before = digest.digest()
        try:
            late = sample(batch, digest)
        except Exception as error:
            late = [error]
        if late or digest.digest() == before:
            self._lose(f"{IS_READ_AGAIN}; its batches cannot be compared")
        self._passed.append(digest.hexdigest())


_END = object()


def stream_of(loader: Any, place: Place) -> Optional[Stream]:
    """Returns the stream that a loader without an order of ours is; None for one that has a state of its own, or an index."""
    if callable(loader) and not hasattr(loader, "__iter__"):
        return None
    if isinstance(loader, (list, tuple, range)) or hasattr(loader, "state_dict"):
        return None
    return Stream(loader, place)


def _parts_of(loader: Any) -> Any:
    """Returns what is read, what decides its batches, and the attributes that the script sets anew for each epoch."""
    if "paddle" in sys.modules:
        from . import paddle_data

        made = paddle_data.stream_of(loader)
        if made is not None:
            return (*made, set_for_each_epoch(type(loader.dataset)))
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is not None and type(loader) is torch_data.DataLoader:
        parts = {"data set": loader.dataset, "collate_fn": loader.collate_fn, "worker_init_fn": loader.worker_init_fn, "generator": loader.generator}
        return loader, parts, set_for_each_epoch(type(loader.dataset))
    return loader, {"data": loader}, set_for_each_epoch(type(loader))
