"""A loader whose place can be kept: the order is a function of (seed, pass), each batch is seeded by itself, and what counts
is what the loop has received. So results do not depend on the number of workers, and a resume loads no batch twice."""

from __future__ import annotations

import itertools
import sys
from typing import Any, Dict, Iterator, List, Optional

from . import rng

# An order of more batches than this is drawn while it is used, and not kept.
_MAX_ORDER = 10_000_000
# Arguments of DataLoader by the attribute they are found under; those that a torch does not know are left out.
_ARGUMENTS = (
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "pin_memory_device",
    "in_order",
)


class Seeded:
    """The first index of a batch, with the seed that the batch is made with; it travels to a worker by pickling."""

    __slots__ = ("key", "seed")

    def __init__(self, key: Any, seed: int) -> None:
        self.key = key
        self.seed = seed

    def __reduce__(self) -> Any:
        return (Seeded, (self.key, self.seed))


class SeededDataset:
    """The user's data set; it seeds the generators when a batch begins. Everything else is the user's own."""

    def __init__(self, dataset: Any) -> None:
        self.trainstash_dataset = dataset

    def __len__(self) -> int:
        return len(self.trainstash_dataset)

    def __getitem__(self, key: Any) -> Any:
        if type(key) is Seeded:
            rng.seed_all(key.seed)
            key = key.key
        return self.trainstash_dataset[key]

    def __getattr__(self, name: str) -> Any:
        # Copies and unpickled ones ask before they have it.
        if name == "trainstash_dataset" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.trainstash_dataset, name)


class SeededBulkDataset(SeededDataset):
    """For data sets that fetch a batch at once."""

    def __getitems__(self, keys: List[Any]) -> Any:
        if keys and type(keys[0]) is Seeded:
            rng.seed_all(keys[0].seed)
            keys = [keys[0].key, *keys[1:]]
        return self.trainstash_dataset.__getitems__(keys)


class SeededBatches:
    """Batches of the user's own sampler, from where the loop stands."""

    def __init__(self, place: Place, inner: Any, batched: bool) -> None:
        self._place = place
        self._inner = inner
        self._batched = batched

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[Any]:
        place = self._place
        seed, skip, turn = place.seed, place.skip, place.turn
        for sampler in (self._inner, getattr(self._inner, "sampler", None)):
            if sampler is not None and hasattr(sampler, "set_epoch"):
                sampler.set_epoch(place.epoch)
        with rng.Scope(rng.mix(seed, "order", place.key, turn), _generators(self._inner)):
            rest = iter(self._inner)
            # torch's samplers draw when the first batch is asked for, or seed a generator of their own then.
            drawn = list(itertools.islice(rest, _MAX_ORDER))
        for number, batch in enumerate(itertools.chain(drawn, rest)):
            if number < skip:
                continue
            batch_seed = rng.mix(seed, "batch", place.key, place.rank, turn, number)
            if self._batched:
                batch = list(batch)
                yield [Seeded(batch[0], batch_seed), *batch[1:]] if batch else batch
            else:
                yield Seeded(batch, batch_seed)


class Place:
    """Where the loop stands in one loader, shared between the loader and its sampler."""

    def __init__(self, key: str, seed: int, rank: int) -> None:
        self.key = key
        self.seed = seed
        self.rank = rank
        # Passes over the loader before this one: what the order is drawn from.
        self.turn = 0
        self.begun = False
        # The run's epoch in which the pass began, and whether it was read to its end.
        self.epoch = 0
        self.done = False
        # Batches of this pass that the loop has received.
        self.batch = 0
        self.skip = 0


class Batches:
    """Iterates like the loader that it was made of. One ``iter`` is one pass."""

    def __init__(self, run: Any, loader: Any, key: str) -> None:
        self._run = run
        self._loader = loader
        self.place = Place(key, run.seed, run.rank)
        # Whether optimizer steps were done while it was read: then it is what is trained on.
        self.stepped = False
        self._saved: Optional[Dict[str, Any]] = None
        self._inner = _rebuild(loader, self.place)
        # What keeps its place from being exact; None: nothing.
        self.lacks: Optional[str] = None
        if self._inner is None and not hasattr(loader, "state_dict") and not isinstance(loader, (list, tuple, range)):
            self.lacks = "the data's own state (an iterable without a state_dict is read again up to the place)"

    @property
    def is_seeded(self) -> bool:
        """Whether its order and its batches are functions of the run's seed."""
        return self._inner is not None

    def wraps(self, loader: Any) -> bool:
        return self._loader is loader

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Any]:
        run, place = self._run, self.place
        if not run.is_mine():
            yield from self._loader
            return
        if place.begun:
            place.turn += 1
        elif place.skip > 0 and place.epoch != run.epoch:
            # The epoch that it stood in was over without it, as the longer one of two that are zipped is.
            place.turn += 1
            place.skip = 0
            self._saved = None
        resuming = place.skip > 0 or self._saved is not None
        place.begun, place.done, place.epoch, place.batch = True, False, run.epoch, place.skip
        self.stepped = resuming
        run.entered(self)
        try:
            keep = rng.cpu_state()
            inner = self._start()
            # Making an iterator draws from the global generators: 1 or 2 numbers, and none that a resume would draw again.
            rng.set_cpu_state(keep)
            if resuming:
                run.at_place()
            alone = self._inner is not None and getattr(self._inner, "num_workers", 0) == 0
            while True:
                # With workers the data is drawn elsewhere; without, it would draw from what the model draws from.
                keep = rng.cpu_state() if alone else keep
                try:
                    batch = next(inner)
                except StopIteration:
                    break
                finally:
                    if alone:
                        rng.set_cpu_state(keep)
                place.skip = 0
                place.batch += 1
                yield batch
            place.skip = 0
            place.done = True
        finally:
            run.left(self)

    def state(self, active: bool) -> Dict[str, Any]:
        """``active``: the loop stands inside it, or at its end with the epoch's code still to come."""
        place = self.place
        state: Dict[str, Any] = {"turn": place.turn, "batch": place.batch, "shape": self.shape()}
        if not active:
            state["turn"] = place.turn + 1 if place.begun else place.turn
            state["batch"] = 0
        elif self._inner is None and hasattr(self._loader, "state_dict"):
            state["own"] = self._loader.state_dict()
        return state

    def restore(self, state: Dict[str, Any], active: bool) -> Optional[str]:
        """Returns what could not be kept, for people."""
        self.place.turn = int(state["turn"])
        if not active:
            return None
        self._saved = state.get("own")
        self.place.skip = self.place.batch = int(state["batch"])
        self.place.epoch = self._run.epoch
        then, now = state["shape"], self.shape()
        if then == now or None in (then["size"], now["size"], then["samples"], now["samples"]):
            return self.lacks
        if then["samples"] != now["samples"]:
            return f"the data is another ({then['samples']} samples then, {now['samples']} now)"
        # Another batch size or number of processes: what was seen is counted in samples.
        seen = self.place.skip * int(then["size"]) * int(then["world"])
        self.place.skip = seen // max(1, int(now["size"]) * int(now["world"]))
        return f"batches are cut in another way: it goes on after {seen} samples"

    def _start(self) -> Iterator[Any]:
        if self._inner is not None:
            first: Iterator[Any] = iter(self._inner)
            return first
        if self._saved is not None:
            self._loader.load_state_dict(self._saved)
            self._saved = None
            own: Iterator[Any] = iter(self._loader)
            return own
        iterator: Iterator[Any] = iter(self._loader)
        for _ in range(self.place.skip if not hasattr(self._loader, "load_state_dict") else 0):
            next(iterator, None)
        return iterator

    def shape(self) -> Dict[str, Any]:
        loader = self._loader
        batches = getattr(loader, "batch_sampler", None)
        return {
            "samples": _size(getattr(loader, "dataset", loader)),
            "size": getattr(loader, "batch_size", None) or getattr(batches, "batch_size", None),
            "drop_last": bool(getattr(loader, "drop_last", False)),
            "world": self._run.world,
        }


def _rebuild(loader: Any, place: Place) -> Any:
    """A DataLoader like the user's over seeded batches; None for anything else. torch forbids to change one that is made."""
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is None or not isinstance(loader, torch_data.DataLoader) or hasattr(loader, "load_state_dict"):
        return None
    if isinstance(loader.dataset, torch_data.IterableDataset):
        return None
    arguments: Dict[str, Any] = {name: getattr(loader, name) for name in _ARGUMENTS if hasattr(loader, name)}
    if arguments.get("pin_memory_device") == "":
        del arguments["pin_memory_device"]
    if loader.num_workers > 0:
        arguments["prefetch_factor"] = loader.prefetch_factor
        arguments["persistent_workers"] = loader.persistent_workers
    bulk = hasattr(loader.dataset, "__getitems__")
    dataset: Any = (SeededBulkDataset if bulk else SeededDataset)(loader.dataset)
    if loader.batch_sampler is not None:
        arguments["batch_sampler"] = SeededBatches(place, loader.batch_sampler, batched=True)
    else:
        arguments["sampler"] = SeededBatches(place, loader.sampler, batched=False)
        arguments["batch_size"] = None
    return torch_data.DataLoader(dataset, **arguments)


def _generators(sampler: Any) -> List[Any]:
    """Generators of the user's that a sampler draws its order from."""
    torch = sys.modules["torch"]
    found = []
    for candidate in (sampler, getattr(sampler, "sampler", None)):
        generator = getattr(candidate, "generator", None)
        if isinstance(generator, torch.Generator):
            found.append(generator)
    return found


def _size(value: Any) -> Optional[int]:
    try:
        return len(value)
    except (TypeError, NotImplementedError):
        return None
