"""Loaders made anew over seeded batches. torch forbids to change one that is made."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from types import ModuleType
from typing import Any, Dict, List, Optional, Set, Tuple

from . import rng
from .order import Place, Seeded, SeededBatches, samplers_in
from .stateful import is_stateful

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
# The depth to which generators are looked for in a data set: itself, its transforms, theirs.
_DEPTH = 3
_MOST_LOOKED_AT = 200


class SeededDataset:
    """The user's data set; it seeds the generators when a batch begins. Everything else is the user's own."""

    def __init__(self, dataset: Any, protects: bool = False) -> None:
        self.trainstash_dataset = dataset
        self.trainstash_generators: Optional[List[Any]] = None
        #: The seed of the batch that is being made; None: its index came without one.
        self.trainstash_seed: Optional[int] = None
        # True: the random numbers of the loop are put back when a batch is made; else its reader does that.
        self.trainstash_protects = protects
        self.trainstash_outside: Optional[Tuple[List[Any], List[Tuple[Any, Any]]]] = None

    def seed(self, generators: List[Any], seed: int) -> None:
        """Seeds generators for the batch that is being made."""
        if self.trainstash_outside is not None:
            self.trainstash_outside[1].extend((generator, rng.state_of(generator)) for generator in generators)
        for i, generator in enumerate(generators):
            rng.seed_generator(generator, rng.mix(seed, i))

    def put_back(self) -> None:
        """Ends the making of a batch: the loop draws on from where it was."""
        outside, self.trainstash_outside, self.trainstash_seed = self.trainstash_outside, None, None
        if outside is not None:
            rng.set_cpu_state(outside[0])
            for generator, state in reversed(outside[1]):
                rng.set_state_of(generator, state)

    def __len__(self) -> int:
        return len(self.trainstash_dataset)

    def __getitem__(self, key: Any) -> Any:
        if type(key) is Seeded:
            self._seed(key.seed)
            key = key.key
        return self.trainstash_dataset[key]

    def __getattr__(self, name: str) -> Any:
        # Copies and unpickled ones ask before they have it.
        if name.startswith(("trainstash_", "__")):
            raise AttributeError(name)
        return getattr(self.trainstash_dataset, name)

    def _seed(self, seed: int) -> None:
        if self.trainstash_protects and self.trainstash_outside is None:
            self.trainstash_outside = (rng.cpu_state(), [])
        self.trainstash_seed = seed
        rng.seed_all(seed)
        if self.trainstash_generators is None:
            # A worker finds its own copies of them.
            self.trainstash_generators = own_generators(self.trainstash_dataset)
        self.seed(self.trainstash_generators, seed)


class SeededCollate:
    """The user's collator; generators of its own are seeded with the batch, like those of the data set."""

    def __init__(self, dataset: SeededDataset, collate: Any) -> None:
        self.trainstash_dataset = dataset
        self.trainstash_collate = collate
        self.trainstash_generators: Optional[List[Any]] = None

    def __call__(self, items: Any) -> Any:
        seed = self.trainstash_dataset.trainstash_seed
        if seed is not None:
            self._seed(seed)
        try:
            return self.trainstash_collate(items)
        finally:
            self.trainstash_dataset.put_back()

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("trainstash_", "__")):
            raise AttributeError(name)
        return getattr(self.trainstash_collate, name)

    def _seed(self, seed: int) -> None:
        if self.trainstash_generators is None:
            make_generators(self.trainstash_collate)
            self.trainstash_generators = own_generators(self.trainstash_collate)
        self.trainstash_dataset.seed(self.trainstash_generators, rng.mix(seed, "collate"))


def make_generators(collate: Any, depth: int = _DEPTH) -> None:
    """Makes the generators that collators of Transformers with a seed would make, and seed, with their first batch in a process."""
    if getattr(collate, "seed", None) is not None and hasattr(collate, "create_rng"):
        made_in = getattr(collate, "_generator_pid", os.getpid())
        if getattr(collate, "generator", _ABSENT) is None or made_in != os.getpid():
            _make_generator(collate)
    cells = [cell.cell_contents for cell in getattr(collate, "__closure__", None) or () if _is_filled(cell)]
    for part in [*_parts(collate), *cells] if depth > 0 else []:
        if hasattr(part, "__dict__") and not isinstance(part, (type, ModuleType)):
            make_generators(part, depth - 1)


def _make_generator(collate: Any) -> None:
    wanted = getattr(collate, "return_tensors", None)
    try:
        # It makes another one when it asks for one of another library.
        collate.create_rng(wanted)
    except TypeError:
        collate.create_rng()


_ABSENT = object()


class SeededBulkDataset(SeededDataset):
    """A seeded data set that fetches a batch at once."""

    def __getitems__(self, keys: List[Any]) -> Any:
        if keys and type(keys[0]) is Seeded:
            self._seed(keys[0].seed)
            keys = [keys[0].key, *keys[1:]]
        return self.trainstash_dataset.__getitems__(keys)


def rebuild(loader: Any, place: Place, protects: bool = False) -> Any:
    """Makes a loader like the user's over seeded batches; None for one whose order cannot be known.

    Args:
        protects: The loader itself puts back the random numbers that making a batch draws.
    """
    if _is_prepared(loader):
        return _rebuild_prepared(loader, place, protects)
    if "paddle" in sys.modules:
        from . import paddle_data

        made = paddle_data.rebuild(loader, place)
        if made is not None:
            return made
    if _is_of_fabric(loader):
        return _rebuild_of_fabric(loader, place, protects)
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is None or not isinstance(loader, torch_data.DataLoader):
        return None
    if isinstance(loader.dataset, torch_data.IterableDataset):
        return None
    # A loader with a state of its own is read by index like any other, unless its parts have states, too.
    if hasattr(loader, "load_state_dict") and any(map(_has_state, [loader.dataset, *samplers_in(loader.sampler if loader.batch_sampler is None else loader.batch_sampler)])):
        return None
    return _made_anew(torch_data, loader, place, protects)


def data_workers(loader: Any) -> int:
    """Returns the number of processes that read the data; 0: the training's own one reads it."""
    return int(getattr(loader, "num_workers", 0) or 0)


def starts_workers_anew(loader: Any) -> bool:
    """Tells whether the loader's workers import the script's code when they are started, and not before."""
    if data_workers(loader) == 0:
        return False
    context = getattr(loader, "multiprocessing_context", None)
    method = context if isinstance(context, str) else getattr(context, "_name", None)
    if method is None:
        import multiprocessing

        method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_context().get_start_method()
    return method != "fork"


def own_generators(dataset: Any) -> List[Any]:
    """Finds generator objects that a data set may draw from while it is read: in it, in its transforms, and in what their code
    names. Always in the same order."""
    found: List[Any] = []
    seen: Set[int] = set()
    level = [dataset]
    for _ in range(_DEPTH):
        below = []
        for value in level:
            if id(value) in seen or len(seen) > _MOST_LOOKED_AT:
                continue
            seen.add(id(value))
            for inside in [*_parts(value), *_named(value)]:
                if rng.is_generator(inside):
                    if not any(inside is known for known in found):
                        found.append(inside)
                elif _may_hold(inside):
                    below.append(inside)
        level = below
    return found


def _parts(value: Any) -> List[Any]:
    if isinstance(value, (list, tuple)):
        return list(value[:50])
    try:
        return list(vars(value).values())
    except TypeError:
        return []


def _named(value: Any) -> List[Any]:
    """Lists what the code of a function, or of an object's own class, names outside of itself, and generators of that class."""
    functions = [value]
    found: List[Any] = []
    for cls in type(value).__mro__:
        if not cls.__module__.startswith(("torch.", "builtins", "typing")):
            functions += [item for item in vars(cls).values() if hasattr(item, "__code__")]
            found += [item for item in vars(cls).values() if rng.is_generator(item)]
    for function in functions:
        code = getattr(function, "__code__", None)
        if code is None:
            continue
        spaces = getattr(function, "__globals__", {})
        found += [spaces[name] for name in code.co_names if name in spaces and rng.is_generator(spaces[name])]
        found += [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_filled(cell)]
    return found


def with_workers_that_stay() -> List[Any]:
    """Lists the loaders whose ``persistent_workers`` have started, and which the package does not drive.

    Such a loader draws from torch's random numbers when its workers start, and after that no more: a resume, whose workers start
    again, draws once more than the training that goes on. Before the first start both draw. A loader that keeps its iterator
    without them, like torchdata's, draws for each pass.
    """
    if not multiprocessing.active_children():
        return []  # Spares the search, which takes as long as there are objects.
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is None:
        return []
    return [
        one
        for one in gc.get_objects()
        if issubclass(type(one), torch_data.DataLoader)
        and getattr(one, "persistent_workers", False)
        and getattr(one, "_iterator", None) is not None
        and one.generator is None
        and not isinstance(one.dataset, SeededDataset)
    ]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _may_hold(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= 50 and any(_may_hold(item) for item in value)
    if isinstance(value, (type, ModuleType)) or type(value).__module__.startswith("torch.nn"):
        return False
    return hasattr(value, "__dict__") and type(value).__name__ != "Tensor"


def _has_state(value: Any) -> bool:
    return is_stateful(value)


def _made_anew(torch_data: Any, loader: Any, place: Place, protects: bool) -> Any:
    arguments: Dict[str, Any] = {name: getattr(loader, name) for name in _ARGUMENTS if hasattr(loader, name)}
    if arguments.get("pin_memory_device") == "":
        del arguments["pin_memory_device"]
    if loader.num_workers > 0:
        arguments["prefetch_factor"] = loader.prefetch_factor
        arguments["persistent_workers"] = loader.persistent_workers
    bulk = hasattr(loader.dataset, "__getitems__")
    dataset: Any = (SeededBulkDataset if bulk else SeededDataset)(loader.dataset, protects)
    if loader.collate_fn is not None:
        arguments["collate_fn"] = SeededCollate(dataset, loader.collate_fn)
    if loader.batch_sampler is not None:
        arguments["batch_sampler"] = SeededBatches(place, loader.batch_sampler, batched=True)
    else:
        arguments["sampler"] = SeededBatches(place, loader.sampler, batched=False)
        arguments["batch_size"] = None
    return torch_data.DataLoader(dataset, **arguments)


def _is_prepared(loader: Any) -> bool:
    """Tells whether Accelerate has wrapped a loader. Its class pretends to be a DataLoader, and its own state cannot be asked for."""
    return hasattr(type(loader), "adjust_state_dict_for_prefetch") and "base_dataloader" in getattr(loader, "__dict__", {})


def _rebuild_prepared(loader: Any, place: Place, protects: bool) -> Optional[Any]:
    """Puts the same wrapper around a loader that is made anew: it goes on moving batches and telling Accelerate of their end."""
    inner = rebuild(loader.base_dataloader, place, protects)
    if inner is None or type(loader).__name__ != "DataLoaderShard":
        return None
    twin = object.__new__(type(loader))
    twin.__dict__.update(loader.__dict__)
    twin.__dict__["base_dataloader"] = inner
    twin.__dict__["use_stateful_dataloader"] = False
    return twin


def _is_of_fabric(loader: Any) -> bool:
    """Tells a loader that Lightning Fabric has set up."""
    return type(loader).__name__ == "_FabricDataLoader" and "_dataloader" in getattr(loader, "__dict__", {})


def _rebuild_of_fabric(loader: Any, place: Place, protects: bool) -> Optional[Any]:
    """Makes the same wrapper around a loader that is made anew: it goes on moving batches to the device."""
    inner = rebuild(loader._dataloader, place, protects)
    if inner is None:
        return None
    twin = object.__new__(type(loader))
    twin.__dict__.update(loader.__dict__)
    twin.__dict__["_dataloader"] = inner
    return twin
