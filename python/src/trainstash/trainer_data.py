"""The training loader of Transformers' Trainer over seeded batches: its order stays the Trainer's own, and whatever is random in
making a batch is a function of seed, epoch and batch. So it is the same after a resume, with workers or without."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Optional

from . import generators, rng
from .beside import Beside
from .hidden import ReadState
from .ingredients import Ingredients
from .loaders import make_generators, own_generators, rebuild
from .order import Place, samplers_in

_KEY = "0"


class TrainingData:
    """The data that the Trainer reads, and where it stands in them."""

    def __init__(self, seed: int, rank: int) -> None:
        self._place = Place(_KEY, rng.mix("transformers", seed), rank)
        #: Epochs begun before the present one.
        self.epoch = 0
        #: Batches of this epoch that were used up.
        self.batch = 0
        self._lacks: Optional[str] = None
        self._loader: Any = None
        self._counters: List[Beside] = []
        self._reads: Dict[str, ReadState] = {}
        #: The generators of the data and the collator. Training batches leave them as they were, evaluations do not.
        self.generators: List[Any] = []
        self._evaluates = False

    @property
    def seed(self) -> int:
        return self._place.seed

    def seeded(self, loader: Any, evaluated: Any) -> Any:
        """Makes the loader read seeded batches; returns the user's own where that cannot be.

        Args:
            loader: The loader that the Trainer reads.
            evaluated: The data that it evaluates with, whose generators go on from evaluation to evaluation; None: it does not.
        """
        self._lacks = _why_not(loader)
        made = rebuild(loader, self._place, protects=True) if self._lacks is None else None
        if made is None:
            self._lacks = self._lacks or f"its loader is a {type(loader).__name__}, which cannot be read from a place"
        self._loader = made or loader
        inner = getattr(loader, "base_dataloader", loader)
        make_generators(inner.collate_fn)
        self._evaluates = evaluated is not None
        self.generators = []
        for part in (inner.collate_fn, inner.dataset, *(evaluated.values() if isinstance(evaluated, dict) else [evaluated])):
            self.generators += [one for one in own_generators(part) if not any(one is known for known in self.generators)]
        evaluations = [*evaluated.values()] if isinstance(evaluated, dict) else [evaluated]
        self._counters = [Beside(part, ()) for part in (getattr(inner, "dataset", None), getattr(inner, "collate_fn", None), *evaluations) if _is_own(part)]
        has_workers = getattr(inner, "num_workers", 0) > 0
        named = [("the place in the data", inner.dataset), *(("the evaluation data", one) for one in evaluations if one is not None)]
        # In a worker nobody sees what changes; here the counters and the fit's hidden state do.
        self._reads = {name: ReadState({"data set": one, "collate_fn": inner.collate_fn}, self.generators, True) for name, one in named if has_workers}
        return self._loader

    def epoch_begins(self, epoch: int) -> None:
        """Begins an epoch: the Trainer is about to read the loader from its beginning, or from the place of a checkpoint."""
        self.epoch = self._place.epoch = self._place.turn = epoch
        self.batch = 0

    def state(self) -> Any:
        """Returns what a resume needs to make the same batches."""
        return {
            "seed": self._place.seed, "epoch": self.epoch, "batch": self.batch, "samplers": self._sampler_seeds(),
            "generators": [generators.state_of(one) for one in self.generators],
        }

    def restore(self, saved: Any) -> None:
        """Takes the seeds of a checkpoint; to be called when the loader was made."""
        self._place.seed = int(saved["seed"])
        for sampler, seed in zip(self._samplers(), saved.get("samplers") or ()):
            if seed is not None:
                sampler.initial_seed = seed
        for generator, state in zip(self.generators, saved.get("generators") or ()):
            generators.set_state(generator, state)

    def find(self, found: Ingredients) -> None:
        """Notes whether the place in the data is kept."""
        name = "the place in the data"
        if self._lacks is not None:
            found.lost("data", name, self._lacks)
            return
        found.kept("data", name)
        if self.generators and self._evaluates and getattr(self._loader, "persistent_workers", False):
            found.lost("random", "generators of the data", "workers that live on have copies of their own in evaluations")
        for part, read in self._reads.items():
            why = read.lacks()
            if why is not None:
                found.lost("data", part, why)
        for counter in self._counters:
            changed = [key for key in counter.state()[0] if isinstance(getattr(counter.owner, key, None), (int, float, str))]
            for key in changed:
                found.lost("data", f"{type(counter.owner).__name__}.{key}", "it changes while batches are made, some ahead of the training")

    def _samplers(self) -> List[Any]:
        loader = getattr(self._loader, "base_dataloader", self._loader)
        sampler = getattr(loader, "batch_sampler", None)
        return [one for one in samplers_in(sampler) if hasattr(one, "initial_seed")]

    def _sampler_seeds(self) -> List[Optional[int]]:
        return [int(one.initial_seed) if isinstance(one.initial_seed, int) else None for one in self._samplers()]


def _why_not(loader: Any) -> Optional[str]:
    torch_data = sys.modules["torch.utils.data"]
    inner = getattr(loader, "base_dataloader", loader)
    dataset = getattr(inner, "dataset", None)
    if isinstance(dataset, torch_data.IterableDataset) or not hasattr(dataset, "__len__"):
        return "it is read as a stream, which begins again"
    if type(loader).__name__ == "DataLoaderDispatcher":
        return "one process reads it for all, and hands batches on"
    return None


def _is_own(part: Any) -> bool:
    """Tells whether a part is an object of a class that the script, and no library, has made."""
    return part is not None and hasattr(part, "__dict__") and type(part).__module__.partition(".")[0] not in ("torch", "datasets", "builtins")
