"""The order of a loader's samples, as a function of (seed, pass), drawn a few batches ahead: an endless or very long order
costs no more memory than the sampler itself."""

from __future__ import annotations

import itertools
from typing import Any, Iterator, List, Optional, Protocol

from . import rng

# Batches that are drawn at once: changing the random numbers over costs a tenth of a millisecond.
_AHEAD = 64
# A sampler of the user's may look at what was trained: it is asked no further ahead than workers would.
_AHEAD_OF_OTHERS = 16
# Indices of batches that are drawn at once, so that large batches cost little memory.
_MOST_INDICES = 1 << 16


class Place:
    """The place at which the loop stands in one loader, shared between the loader and its sampler."""

    def __init__(self, key: str, seed: int, rank: int) -> None:
        self.key = key
        self.seed = seed
        self.rank = rank
        #: The pass that is read, or was read last; the next one is ``following``. What the order is drawn from.
        self.turn = 0
        self.following = 0
        self.begun = False
        #: The run's epoch in which the pass began, and whether it was read to its end.
        self.epoch = 0
        self.done = False
        #: Batches of this pass that the loop has received.
        self.batch = 0
        #: Batches, and samples after them, that are passed over when the pass begins.
        self.skip = 0
        self.skip_samples = 0


class Sampler(Protocol):
    """A source from which a DataLoader draws indices, or lists of indices."""

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


class Seeded:
    """The first index of a batch, with the seed that the batch is made with; it travels to a worker by pickling."""

    __slots__ = ("key", "seed")

    def __init__(self, key: Any, seed: int) -> None:
        self.key = key
        self.seed = seed

    def __reduce__(self) -> Any:
        return (Seeded, (self.key, self.seed))


class SeededBatches:
    """Batches of the user's own sampler, from where the loop stands."""

    def __init__(self, place: Place, inner: Any, batched: bool) -> None:
        self._place = place
        self._inner = inner
        self._batched = batched

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        # Accelerate and Transformers ask it for sizes, and for the samplers inside.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __iter__(self) -> Iterator[Any]:
        place = self._place
        seed, turn = place.seed, place.turn
        for sampler in samplers_in(self._inner):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(place.epoch)
        draws = rng.Draws(rng.mix(seed, "order", place.key, turn), generators_in(self._inner))
        number = place.skip
        for batch in _drawn(self._inner, place, draws):
            batch_seed = rng.mix(seed, "batch", place.key, place.rank, turn, number)
            number += 1
            if self._batched:
                batch = list(batch)
                yield [Seeded(batch[0], batch_seed), *batch[1:]] if batch else batch
            else:
                yield Seeded(batch, batch_seed)


def samplers_in(sampler: Any) -> List[Any]:
    """Lists a sampler with those inside of it: samplers are wrapped for batches, for processes, and by Accelerate."""
    found: List[Any] = []
    pending = [sampler]
    while pending and len(found) < 8:
        candidate = pending.pop(0)
        if candidate is None or any(candidate is known for known in found):
            continue
        found.append(candidate)
        pending += [getattr(candidate, name, None) for name in ("sampler", "batch_sampler")]
    return found


def generators_in(sampler: Any) -> List[Any]:
    """Finds generator objects that a sampler draws its order from."""
    found: List[Any] = []
    for candidate in samplers_in(sampler):
        values = list(getattr(candidate, "__dict__", {}).values())
        found += [value for value in values if rng.is_generator(value) and not any(value is known for known in found)]
    return found


def _source(inner: Any, place: Place) -> Iterator[Any]:
    """Reads the sampler behind what is passed over: batches, or samples where batches are cut in another way now."""
    if place.skip_samples:
        rest = itertools.islice(iter(inner.sampler), place.skip_samples, None)
        return _cut(rest, inner.batch_size, inner.drop_last)
    return itertools.islice(iter(inner), place.skip, None)


def _cut(indices: Iterator[Any], size: int, drop_last: bool) -> Iterator[List[Any]]:
    while True:
        batch = list(itertools.islice(indices, size))
        if not batch or (drop_last and len(batch) < size):
            return
        yield batch


def _drawn(inner: Any, place: Place, draws: rng.Draws) -> Iterator[Any]:
    ahead = _ahead(inner)
    with draws:
        # torch's samplers draw when the first batch is asked for; others may do so here.
        source = _source(inner, place)
    some: Optional[List[Any]] = None
    while some is None or some:
        with draws:
            some = _some(source, ahead)
        yield from some


def _some(source: Iterator[Any], ahead: int) -> List[Any]:
    some: List[Any] = []
    indices = 0
    for batch in itertools.islice(source, ahead):
        some.append(batch)
        indices += len(batch) if isinstance(batch, (list, tuple)) else 1
        if indices >= _MOST_INDICES:
            break
    return some


def _ahead(sampler: Any) -> int:
    own = all(type(one).__module__.startswith("torch.") for one in samplers_in(sampler))
    return _AHEAD if own else _AHEAD_OF_OTHERS
