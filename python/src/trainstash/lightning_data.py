"""Lightning's loaders, each with a place that can be kept. They are wrapped when Lightning has made them ready for its processes."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional, Set

from .data import Batches
from .ingredients import Ingredients

_FUNCTION = "_process_dataloader"


class Loaders:
    """The loaders of one fit; what ``Batches`` asks for of a run.

    Args:
        trainer: Lightning's.
        lose: Told what cannot be put back: kind, name, why.
    """

    def __init__(self, trainer: Any, seed: int, lose: Callable[[str, str, str], None]) -> None:
        self._trainer = trainer
        self._lose = lose
        self._pid = os.getpid()
        self.seed = seed
        self.rank = 0
        self.world = 1
        # Batches of the training data to leave out, and the loaders that are past them.
        self._left_out = 0
        self._is_past: Set[str] = set()
        #: The fit is about to stand where its checkpoint was taken: until then each reading begins at that place.
        self.is_arriving = False
        self._batches: Dict[str, Batches] = {}
        self._saved: Dict[str, Any] = {}
        self._placed: Set[str] = set()

    @property
    def epoch(self) -> int:
        return int(self._trainer.current_epoch)

    @contextlib.contextmanager
    def wrapping(self, loop: Any, stage: str) -> Iterator[None]:
        """Wraps the loaders that ``loop`` sets up meanwhile."""
        module = sys.modules[type(loop).__module__]
        process = getattr(module, _FUNCTION, None)
        if process is None:
            self._lose("data", f"the {stage} data", "this version of Lightning sets up its loaders in another way")
            yield
            return
        count = 0

        def process_and_wrap(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            loader = process(*arguments, **named)
            count += 1
            return self._wrap(f"{stage}.{count - 1}", loader)

        setattr(module, _FUNCTION, process_and_wrap)
        try:
            yield
        finally:
            setattr(module, _FUNCTION, process)

    def load(self, saved: Dict[str, Any], left_out: int = 0) -> None:
        """Takes the places of a checkpoint, before or after the loaders are made. ``left_out``: batches of the training data that
        are left out behind them."""
        self._left_out, self._is_past = left_out, set()
        self._saved = dict(saved)
        self._placed = set()
        self.is_arriving = True

    def arrived(self) -> None:
        """Ends the arrival: the first batch is about to be used."""
        self.is_arriving = False
        self._is_past |= self._placed
        for key in self._placed:
            del self._saved[key]

    def state(self, is_inside: bool, ahead: int) -> Dict[str, Any]:
        """Collects the places.

        Args:
            is_inside: The fit stands between two batches of an epoch.
            ahead: Batches that Lightning has fetched and not used.
        """
        found = dict(self._saved)
        for key, one in self._batches.items():
            if key in self._saved:
                continue  # It was not read since the resume.
            active = is_inside and key.startswith("train.")
            found[key] = {**one.state(active, ahead if active else 0), "active": active}
        return found

    def note(self, found: Ingredients) -> None:
        """Notes what was found out about each training loader."""
        training = {key: one for key, one in self._batches.items() if key.startswith("train.")}
        for key, one in training.items():
            name = "the training data" if len(training) == 1 else f"the training data {key.partition('.')[2]}"
            if one.lacks is None:
                found.kept("data", name)
            else:
                found.lost("data", name, one.lacks)
        if not training:
            found.lost("data", "the training data", "its loader was not seen")
        for key, one in self._batches.items():
            # Its order decides the metrics that callbacks and schedules go by.
            if key not in training and one.lacks is not None:
                found.lost("data", f"the {key.partition('.')[0]} data", one.lacks)

    def place(self, loader: FitBatches) -> None:
        """Puts a loader at its saved place when a reading of it begins."""
        key = loader.place.key
        saved = self._saved.get(key) if self.is_arriving else self._saved.pop(key, None)
        if saved is not None:
            self._placed.add(key)
            difference = loader.restore(saved, bool(saved["active"]))
            if difference is not None and difference != loader.lacks:
                self._lose("data", "the place in the data", difference)
        if key.startswith("train.") and key not in self._is_past:
            loader.leave_out(self._left_out)
            if not self.is_arriving:
                self._is_past.add(key)

    def _wrap(self, key: str, loader: Any) -> Any:
        if isinstance(loader, FitBatches):
            loader = loader.unwrapped
        made = FitBatches(self, loader, key)
        before = self._batches.get(key)
        if before is not None:
            # The user's method made it anew; it goes on with the order.
            made.place.following = before.place.following
        self._batches[key] = made
        return made

    # ---- what a loader asks of a run ----

    def is_mine(self) -> bool:
        return os.getpid() == self._pid

    def entered(self, loader: Batches) -> None:
        pass

    def received(self, loader: Batches, batch: Any) -> None:
        pass

    def asked(self, loader: Batches) -> None:
        pass

    def left(self, loader: Batches) -> None:
        pass

    def at_place(self) -> None:
        pass


class FitBatches(Batches):
    """A loader that Lightning reads. It may begin a reading twice before the first batch is used."""

    def __init__(self, loaders: Loaders, loader: Any, key: str) -> None:
        super().__init__(loaders, loader, key)
        self._loaders = loaders
        self.unwrapped = loader

    def __iter__(self) -> Iterator[Any]:
        self.place.seed, self.place.rank = self._loaders.seed, self._loaders.rank
        self._loaders.place(self)
        yield from super().__iter__()

    def __getattr__(self, name: str) -> Any:
        if name in ("state_dict", "load_state_dict"):
            # Its place is kept here; Lightning would ask for it once more.
            raise AttributeError(name)
        return super().__getattr__(name)


def prefetched(loop: Any) -> int:
    """Counts the batches that Lightning has fetched and not used yet."""
    batches: Optional[List[Any]] = getattr(getattr(loop, "_data_fetcher", None), "batches", None)
    return len(batches) if batches else 0
