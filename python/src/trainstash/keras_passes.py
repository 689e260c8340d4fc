"""Passes over the data in a loop of the script's own: how many batches of one were trained, and the way back to that place."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import keras_pipelines, keras_random
from .keras_pipelines import Source

Problem = Tuple[str, str]
_PART = "the data's order"


class _Pass:
    """The passes that one line of the script makes."""

    def __init__(self) -> None:
        #: Passes that were begun, and batches that the present one has given.
        self.begun = 0
        self.batch = 0
        #: True: a step was made in this pass.
        self.steps = False
        self.count: Optional[int] = None
        self.began: Optional[Dict[str, Any]] = None
        self.problems: List[Problem] = []


class Passes:
    """All lines of the script that read data."""

    def __init__(self, at_boundary: Callable[[bool], None], arrive: Callable[[], None]) -> None:
        self._at_boundary = at_boundary
        self._arrive = arrive
        self._passes: Dict[str, _Pass] = {}
        self._open: List[str] = []
        self._back_to: Dict[str, Any] = {}

    @property
    def batch(self) -> int:
        """Batches of the pass in which steps are made that are used up."""
        return self._passes[self._open[-1]].batch if self._open else 0

    def begin_epoch(self) -> None:
        """Begins an epoch, in which nothing is being read yet."""
        self._open = []

    def end_epoch(self) -> None:
        """Ends an epoch; whatever was broken off in it is over, too."""
        self._open = []

    def stepped(self) -> bool:
        """Notes a step. Returns whether it belongs to a batch that was given here."""
        if not self._open:
            return False
        self._passes[self._open[-1]].steps = True
        return True

    def batches(self, site: str, loader: Any, limit: Optional[int]) -> Iterator[Any]:
        """Gives the batches of a pass, from the one that a resumed run stands at."""
        one = self._passes.setdefault(site, _Pass())
        source = _source_of(loader)
        one.problems = list(source.problems)
        one.count = _count(loader, limit)
        back = self._back_to.pop(site, None)
        skip = self._go_back(one, back, loader, source)
        if not skip:
            one.began = keras_random.capture()
        one.begun += 1
        one.batch = 0
        self._open.append(site)
        try:
            for number, batch in enumerate(loader):
                if limit is not None and number >= limit:
                    break
                if number < skip:
                    one.batch = number + 1
                    continue
                if skip:
                    skip = 0
                    self._arrive()
                one.batch = number + 1
                yield batch
                self._at_boundary(one.count is not None and one.batch >= one.count)
            if skip:
                self._arrive()
        finally:
            if site in self._open:
                self._open.remove(site)

    def _go_back(self, one: _Pass, back: Optional[Dict[str, Any]], loader: Any, source: Source) -> int:
        if back is None:
            return 0
        inside = int(back["batch"])
        if source.reshuffles and not source.problems:
            # Each pass over a pipeline that shuffles takes the next seeds.
            for _ in range(int(back["begun"]) - (1 if inside else 0) - one.begun):
                iter(source.dataset)
        one.begun = int(back["begun"]) - (1 if inside else 0)
        if inside and back["began"]:
            one.began = back["began"]
            keras_random.restore(back["began"])
        return inside

    def state(self, inside: bool) -> Tuple[Dict[str, Any], List[Problem]]:
        """Returns the places of all passes, as JSON can hold them, and what of them is lost."""
        found: Dict[str, Any] = dict(self._back_to)
        problems: List[Problem] = []
        for site, one in self._passes.items():
            is_here = inside and bool(self._open) and self._open[-1] == site
            found[site] = {"begun": one.begun, "batch": one.batch if is_here else 0, "began": one.began if is_here else None}
            problems += one.problems
        return found, problems

    def resume(self, saved: Dict[str, Any], inside: bool) -> None:
        """Makes passes begin where a checkpoint stands."""
        self._back_to = {site: dict(one) for site, one in saved.items()}


def _source_of(loader: Any) -> Source:
    if hasattr(loader, "element_spec") and hasattr(loader, "_inputs"):
        return keras_pipelines.of_tensorflow(loader)
    if isinstance(loader, (list, tuple, range)) or hasattr(loader, "shape"):
        return Source("list", None, False, [])
    if hasattr(loader, "batch_sampler") and hasattr(loader, "dataset"):
        return Source("DataLoader", loader, False, list(keras_pipelines.of_loader(loader, "torch")))
    if hasattr(loader, "on_epoch_end") and hasattr(loader, "__getitem__"):
        lost = list(keras_pipelines.of_py_dataset(loader, synchronous=False))
        return Source("PyDataset", loader, False, lost)
    return Source(type(loader).__name__, None, False, [(_PART, f"it comes from a {type(loader).__name__}, whose state cannot be read")])


def _count(loader: Any, limit: Optional[int]) -> Optional[int]:
    try:
        size: Optional[int] = len(loader)
    except Exception:
        size = None
    if size is None or limit is None:
        return size if limit is None else limit
    return min(size, limit)
