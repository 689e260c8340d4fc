"""Paddle's loaders made anew over seeded batches. Without workers Paddle reads in a thread, whose draws and the training's
would take turns by chance: here it reads between two steps. With workers the order is drawn before they begin."""

from __future__ import annotations

import itertools
from typing import Any, Dict, Iterator, List, Optional, Tuple

from . import rng
from .loaders import SeededDataset
from .order import Place, Seeded, generators_in, samplers_in
from .paddle_random import paddle_module

# Arguments of DataLoader by the attribute they are found under; those that a Paddle does not know are left out.
_ARGUMENTS = (
    "feed_list", "places", "return_list", "collate_fn", "num_workers", "use_buffer_reader", "reader_buffer_size",
    "prefetch_factor", "use_shared_memory", "timeout", "worker_init_fn",
)  # fmt: skip


def rebuild(loader: Any, place: Place) -> Optional[Any]:
    """Makes a loader like the user's over seeded batches; None for one whose order cannot be known."""
    paddle = paddle_module()
    if paddle is None or not isinstance(loader, paddle.io.DataLoader):
        return None
    if isinstance(loader.dataset, paddle.io.IterableDataset) or not _is_known(loader):
        return None
    batches = _Batches(place, loader)
    if loader.num_workers == 0:
        return _InStep(loader, batches)
    arguments: Dict[str, Any] = {name: getattr(loader, name) for name in _ARGUMENTS if hasattr(loader, name)}
    arguments["persistent_workers"] = getattr(loader, "_persistent_workers", False)
    if loader.batch_sampler is None:
        # Paddle reads single samples in order then, and takes no sampler of ours.
        return None
    return paddle.io.DataLoader(SeededDataset(loader.dataset), batch_sampler=batches, **arguments)


def in_step(loader: Any) -> Any:
    """Returns a loader without workers as one that is read between two steps, in the user's own order; any other as it is."""
    paddle = paddle_module()
    if paddle is None or not isinstance(loader, paddle.io.DataLoader) or loader.num_workers > 0:
        return loader
    if isinstance(loader.dataset, paddle.io.IterableDataset):
        return loader
    order = loader.batch_sampler if loader.batch_sampler is not None else range(len(loader.dataset))
    return _InStep(loader, order, loader.dataset)


def stream_of(loader: Any) -> Optional[Tuple[Any, Dict[str, Any]]]:
    """Returns a loader over a stream as one that is read between two steps, unless workers read it, and what decides its batches;
    None for any other loader."""
    paddle = paddle_module()
    if paddle is None or type(loader) is not paddle.io.DataLoader or not isinstance(loader.dataset, paddle.io.IterableDataset):
        return None
    parts = {"data set": loader.dataset, "collate_fn": loader.collate_fn, "worker_init_fn": loader.worker_init_fn}
    return (loader if loader.num_workers > 0 else _StreamInStep(loader, loader.batch_sampler, loader.dataset)), parts


def _is_known(loader: Any) -> bool:
    """Tells whether the order has an end, and comes from no Python generator, which cannot begin again."""
    try:
        len(loader)
    except Exception:
        return False
    drawn_from = [getattr(sampler, "generator", None) for sampler in samplers_in(loader.batch_sampler)]
    return all(one is None or rng.is_generator(one) for one in drawn_from)


class _Batches:
    """Batches of the user's sampler, from where the loop stands."""

    def __init__(self, place: Place, loader: Any) -> None:
        self._place = place
        self._inner = loader.batch_sampler
        self._is_batched = self._inner is not None
        self._length = len(loader)
        # A sampler of the user's own may look at what was trained; it is asked batch by batch where nobody reads ahead.
        self._reads_ahead = loader.num_workers > 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        place = self._place
        for sampler in samplers_in(self._inner):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(place.epoch)
        draws = rng.Draws(rng.mix(place.seed, "order", place.key, place.turn), generators_in(self._inner))
        with draws:
            source = iter(self._inner) if self._is_batched else iter(range(self._length))
            for _ in itertools.islice(source, place.skip):
                pass
            if self._reads_ahead:
                source = iter(list(itertools.islice(source, max(0, self._length - place.skip))))
        return self._seeded(source, draws, place.turn, place.skip)

    def _seeded(self, source: Iterator[Any], draws: rng.Draws, turn: int, number: int) -> Iterator[Any]:
        place = self._place
        while True:
            batch = self._next(source, draws)
            if batch is None:
                return
            seed = rng.mix(place.seed, "batch", place.key, place.rank, turn, number)
            number += 1
            if not self._is_batched:
                yield Seeded(batch, seed)
                continue
            indices: List[Any] = list(batch)
            yield [Seeded(indices[0], seed), *indices[1:]] if indices else indices

    def _next(self, source: Iterator[Any], draws: rng.Draws) -> Any:
        if self._reads_ahead:
            # The training's generators are left alone in Paddle's thread.
            return next(source, None)
        with draws:
            return next(source, None)


class _InStep:
    """A loader that reads each batch when the loop asks for it."""

    num_workers = 0

    def __init__(self, loader: Any, batches: Any, dataset: Any = None) -> None:
        self._loader = loader
        self._batches = batches
        self.dataset = SeededDataset(loader.dataset) if dataset is None else dataset
        self._counts = _numbers_in(loader.dataset)

    @property
    def counts(self) -> Optional[str]:
        """The first number of the data set that has changed since this was made."""
        return next((name for name, value in _numbers_in(self._loader.dataset).items() if self._counts.get(name) != value), None)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        from paddle.io.dataloader import collate, flat
        from paddle.io.dataloader.dataloader_iter import _DatasetKind

        loader = self._loader
        given = loader.collate_fn
        join = given or (collate.default_collate_fn if loader.auto_collate_batch else collate.default_convert_fn)
        fetcher = _DatasetKind.create_fetcher(loader.dataset_kind, self.dataset, loader.auto_collate_batch, join, loader.drop_last)
        for indices in self._batches if self._batches is not None else itertools.repeat(None):
            parts, structure = flat._flatten_batch(fetcher.fetch(indices))
            yield flat._restore_batch([_tensor(part, loader.places) for part in parts], structure)


class _StreamInStep(_InStep):
    """A stream that is read when the loop asks for a batch."""

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        except RuntimeError as error:
            # The stream's end, which Paddle tells by a StopIteration: in a generator that is an error.
            if not isinstance(error.__cause__, StopIteration):
                raise


def _numbers_in(dataset: Any) -> Dict[str, Any]:
    return {name: value for name, value in getattr(dataset, "__dict__", {}).items() if isinstance(value, (bool, int, float, str))}


def _tensor(value: Any, places: Any) -> Any:
    """Makes a tensor as Paddle's reader gives it: on the loader's device, and without a gradient."""
    import paddle

    place = places[0] if places else None
    if isinstance(value, paddle.Tensor):
        value = value.detach()
        return value if place is None or str(value.place) == str(place) else value._copy_to(place, True)
    return paddle.to_tensor(value, place=place, stop_gradient=True)
