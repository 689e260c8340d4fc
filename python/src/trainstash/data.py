"""A loader whose place can be kept: the order is a function of (seed, pass), each batch is seeded by itself, and what counts
is what the loop has received. So results do not depend on the number of workers, and a resume loads no batch twice."""

from __future__ import annotations

import inspect
import itertools
import sys
from time import perf_counter
from typing import Any, Dict, Iterator, List, Optional, Protocol, Tuple

from . import rng
from .contents import contents_of
from .hidden import ReadState
from .loaders import data_workers, own_generators, rebuild
from .order import Place, generators_in
from .streams import stream_of


class Keeper(Protocol):
    """The object that keeps a loader's place: the engine of a run, or an adapter."""

    seed: int
    rank: int
    world: int

    @property
    def epoch(self) -> int: ...

    def is_mine(self) -> bool:
        """Tells whether this is the training's process; False in any other."""

    def entered(self, loader: Batches) -> None:
        """Notes that a pass begins. ``loader.restore`` may be called here."""

    def received(self, loader: Batches, batch: Any) -> None:
        """Notes that the loop is given a batch."""

    def asked(self, loader: Batches) -> None:
        """Notes that the loop comes for the next batch: all that belongs to the newest one is done."""

    def left(self, loader: Batches) -> None:
        """Notes that the pass is over: read to its end, or given up."""

    def at_place(self) -> None:
        """Notes that the loader stands where a checkpoint was taken."""


class Batches:
    """An iterable like the loader that it was made of. One ``iter`` is one pass.

    Args:
        run: The keeper of the place.
        loader: A DataLoader, any other iterable, or a function that draws a batch.
        key: Names the loader in checkpoints, and in what its order is drawn from.
        limit: Batches of a pass; the loader is begun again as often as that takes. None: its own number.
        endless: The loader is begun again and again.
    """

    def __init__(self, run: Keeper, loader: Any, key: str, limit: Optional[int] = None, endless: bool = False) -> None:
        self._run = run
        self._loader = loader
        self._limit = limit
        self._goes_round = endless or limit is not None
        self.place = Place(key, run.seed, run.rank)
        #: The place in the script that wraps it, for people.
        self.where = ""
        #: True: optimizer steps were done while it was read, so it is what is trained on.
        self.stepped = False
        #: Batches of this pass, all its rounds together; and how many there were at the last optimizer step.
        self.taken = 0
        self.stepped_at = 0
        #: Seconds that the loop has waited for batches since somebody last took them.
        self.waited = 0.0
        #: The code and the instruction that asked for the newest batch, and whether that is a ``for``.
        self.asked_by: Tuple[Any, int] = (None, -1)
        self._is_function = callable(loader) and not hasattr(loader, "__iter__")
        self._inner = None if self._is_function else rebuild(loader, self.place)
        self._stream = stream_of(loader, self.place) if self._inner is None else None
        self._saved: Optional[Dict[str, Any]] = None
        self._is_over = self._resuming = False
        self._contents = contents_of(getattr(loader, "dataset", loader)) if not self._is_function else None
        self._failure: Optional[str] = None
        self._read_state: Optional[ReadState] = None
        # Batches to leave out before the next one that is given.
        self._left_out = 0
        # The newest pass.
        self._pass: Any = None

    @property
    def is_seeded(self) -> bool:
        """Tells whether the loader's order and its batches are functions of the run's seed."""
        return self._inner is not None

    @property
    def lacks(self) -> Optional[str]:
        """Returns the reason why the loader's place is not exact; None: it is."""
        if self._failure is not None:
            return self._failure
        counts = getattr(self._inner, "counts", None)
        if counts is not None and not getattr(self._run, "keeps_data_set", False):
            return f"its {counts} changes while it is read, and starts again"
        if self._inner is not None and self._read_state is not None and not getattr(self._run, "keeps_data_set", False):
            return self._read_state.lacks()
        if self._inner is not None or self._is_function or isinstance(self._loader, (list, tuple, range)):
            return None
        if self._stream is not None:
            self._stream.look_again()
            return self._stream.lacks
        if data_workers(self._loader) > 0:
            return "its state does not hold the random numbers of its workers"
        return None

    def wraps(self, loader: Any, limit: Optional[int], endless: bool) -> bool:
        same = self._limit == limit and self._goes_round == (endless or limit is not None)
        return self._loader is loader and same

    def length(self) -> Optional[int]:
        """Batches of a pass, where that can be known."""
        if self._limit is not None:
            return self._limit
        if self._goes_round or self._is_function:
            return None
        return _size(self._loader)

    @property
    def is_limited(self) -> bool:
        """Tells whether the script says how many batches a pass has."""
        return self._limit is not None

    def is_at_end(self) -> bool:
        """Tells whether the loop has received the last batch of this pass."""
        length = self.length()
        return length is not None and self.taken >= length

    def __len__(self) -> int:
        return self._limit if self._limit is not None else len(self._loader)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Any]:
        current = getattr(self._run, "current", None)
        if current is not None and self._run is not current():
            self._move(current())
        run, place = self._run, self.place
        if not run.is_mine():
            yield from self._plain()
            return
        mine = self._pass = object()
        run.entered(self)
        place.turn, place.following = place.following, place.following + 1
        place.begun, place.done, place.epoch = True, False, run.epoch
        if not self._resuming:
            place.batch = self.taken = self.stepped_at = 0
            self.stepped = self._is_over = False
        try:
            while not self._is_over:
                # A resume may stand at the very end of a round, which then gives nothing more and is not an empty loader.
                before = self.taken if place.skip == 0 else -1
                for batch in self._round():
                    frame = sys._getframe(1)
                    self.asked_by = (frame.f_code, frame.f_lasti)
                    run.received(self, batch)
                    yield batch
                    run.asked(self)
                    if self.taken == self._limit:
                        break
                self._is_over = not self._goes_round or self.taken in (before, self._limit)
                if not self._is_over:
                    place.turn, place.following, place.batch = place.following, place.following + 1, 0
            place.done = True
        finally:
            # The pass of a notebook's cell that has failed may be given up while the next one is read.
            if self._pass is mine:
                self._resuming = False
                self._left_out = 0
                place.skip = place.skip_samples = 0
                run.left(self)

    def state(self, active: bool, given_again: int = 0) -> Dict[str, Any]:
        """Returns what a checkpoint holds of the loader.

        Args:
            active: The loop stands inside of a pass, or the pass is over and the epoch's is not.
            given_again: So many of the newest batches are not used up: a resume gives them once more.
        """
        place = self.place
        state: Dict[str, Any] = {"turn": place.turn, "batch": place.batch - given_again, "shape": self.shape()}
        if not active:
            state["turn"] = place.following
            state["batch"] = 0
            return state
        if self._goes_round or self._is_function:
            state["taken"] = self.taken - given_again
        if self._stream is not None:
            state["stream"] = self._stream.state(given_again)
        elif self._inner is None and hasattr(self._loader, "state_dict"):
            try:
                state["own"] = self._loader.state_dict()
            except Exception as error:
                self._failure = f"its state_dict() fails ({error})"
        return state

    def restore(self, state: Dict[str, Any], active: bool) -> Optional[str]:
        """Takes the place of a checkpoint. Returns what could not be kept, for people."""
        place = self.place
        place.following = int(state["turn"])
        if not active:
            return None
        place.skip = place.batch = int(state["batch"])
        self.taken = self.stepped_at = int(state.get("taken", place.batch))
        self._saved = state.get("own")
        self._is_over = bool(state.get("done")) or self.taken == self._limit
        self.stepped = self._resuming = True
        problem = self._differs(state["shape"])
        if self._stream is not None and problem in (None, self._stream.lacks):
            self._stream.expect(state.get("stream"), place.skip)
            problem = problem or self._stream.lacks
        return problem

    @property
    def gave_others(self) -> bool:
        """Tells whether a resume has read other batches up to its place than were read before."""
        return self._stream is not None and self._stream.differs

    @property
    def is_over(self) -> bool:
        """Tells whether the pass that begins has nothing left to give."""
        return self._is_over and self._resuming

    def end(self) -> None:
        """Gives nothing more in the pass that a resume is about to go on with."""
        self._is_over = self._is_over or self._resuming

    def leave_out(self, batches: int) -> None:
        """Leaves out so many batches of the pass that is about to be read, at most all that are left of it."""
        self._left_out = batches

    def shape(self) -> Dict[str, Any]:
        loader = self._loader
        batches = getattr(loader, "batch_sampler", None)
        return {
            "samples": _size(getattr(loader, "dataset", loader)),
            "size": getattr(loader, "batch_size", None) or getattr(batches, "batch_size", None),
            "drop_last": bool(getattr(loader, "drop_last", False)),
            "world": self._run.world,
            "content": self._contents.fingerprint() if self._contents else None,
        }

    def _move(self, run: Any) -> None:
        """Goes over to the session with which a run goes on in the same process."""
        self._run, place = run, self.place
        place.begun = place.done = False
        place.batch = place.skip = place.skip_samples = 0
        self.taken = self.stepped_at = 0
        self.stepped = self._is_over = self._resuming = False
        self._saved = None
        run.position.take_in(self)

    def _round(self) -> Iterator[Any]:
        """Reads the loader once, from the place where the loop stands."""
        run, place = self._run, self.place
        alone = self._inner is not None and data_workers(self._inner) == 0
        generators = self._generators(alone)
        if self._inner is not None and self._read_state is None:
            self._read_state = self._what_reads(generators)
        keep = _states(generators)
        inner = self._start()
        # Making an iterator draws from the global generators, and from the loader's: a resume would draw once more.
        _put_back(generators, keep)
        if self._resuming:
            self._resuming = False
            run.at_place()
        # A wrapper begins its loader when the first batch is asked for.
        is_first = self._inner is not None
        while True:
            # Workers draw the data elsewhere; without them the data would draw from what the model draws from.
            protects, is_first = alone or is_first, False
            keep = _states(generators) if protects else keep
            asked_at = perf_counter()
            try:
                batch = next(inner)
            except StopIteration:
                break
            finally:
                if protects:
                    _put_back(generators, keep)
            self.waited += perf_counter() - asked_at
            place.skip = place.skip_samples = 0
            place.batch += 1
            self.taken += 1
            if self._left_out > 0:
                self._left_out -= 1
                if self.taken == self._limit:
                    break
                continue
            yield batch
        place.skip = place.skip_samples = 0

    def _start(self) -> Iterator[Any]:
        loader, saved, self._saved = self._loader, self._saved, None
        if self._is_function:
            return iter(loader()) if inspect.isgeneratorfunction(loader) else (loader() for _ in itertools.count())
        if self._inner is not None:
            made: Iterator[Any] = iter(self._inner)
            return made
        if self._stream is not None:
            return self._stream.begin()
        if saved is not None:
            loader.load_state_dict(saved)
        iterator: Iterator[Any] = iter(loader)
        for _ in range(self.place.skip if saved is None else 0):
            next(iterator, None)
        return iterator

    def _plain(self) -> Iterator[Any]:
        if self._limit is None and not self._goes_round:
            yield from self._start()
            return
        left = itertools.count() if self._limit is None else iter(range(self._limit))
        while True:
            got = False
            for batch in self._start():
                if next(left, None) is None:
                    return
                got = True
                yield batch
            if not got:
                return

    def _generators(self, alone: bool) -> List[Any]:
        """Returns the script's own generator objects that reading the loader may draw from."""
        found: List[Any] = []
        loader = getattr(self._loader, "base_dataloader", self._loader)
        if rng.is_generator(getattr(loader, "generator", None)):
            found.append(loader.generator)
        sampler = getattr(loader, "batch_sampler", None)
        if sampler is None:  # Not by its truth: that asks a sampler for a length, which an endless one has not.
            sampler = getattr(loader, "sampler", None)
        found += [one for one in generators_in(sampler) if not any(one is known for known in found)]
        if alone:
            for part in (loader.dataset, loader.collate_fn):
                found += [one for one in own_generators(part) if not any(one is known for known in found)]
        return found

    def _what_reads(self, generators: List[Any]) -> ReadState:
        loader = getattr(self._loader, "base_dataloader", self._loader)
        batches = getattr(loader, "batch_sampler", None)
        parts = {"data set": getattr(loader, "dataset", None), "collate_fn": getattr(loader, "collate_fn", None),
                 "worker_init_fn": getattr(loader, "worker_init_fn", None), "sampler": batches if batches is not None else getattr(loader, "sampler", None)}  # fmt: skip
        seeded = [*generators, *(one for part in parts.values() for one in own_generators(part))]
        return ReadState(parts, seeded, data_workers(loader) > 0)

    def _differs(self, then: Dict[str, Any]) -> Optional[str]:
        now = self.shape()
        if then["samples"] != now["samples"] and None not in (then["samples"], now["samples"]):
            return f"the data is another ({then['samples']} samples then, {now['samples']} now)"
        content = then.get("content")
        if content is not None and now["content"] is not None and content != now["content"]:
            return "the data is another: as many samples as before, and not the same ones"
        if None in (then["size"], now["size"]) or (then["size"], then["world"]) == (now["size"], now["world"]):
            return self.lacks
        # Another batch size or number of processes: what was seen is counted in samples.
        seen = self.place.skip * int(then["size"]) * int(then["world"])
        each = max(1, int(now["size"]) * int(now["world"]))
        self.place.skip = self.place.batch = self.taken = seen // each
        if seen % each and self._cuts_plainly():
            self.place.skip_samples = seen // int(now["world"])
        return f"batches are cut in another way: it goes on after {seen} samples"

    def _cuts_plainly(self) -> bool:
        torch_data = sys.modules.get("torch.utils.data")
        sampler = getattr(self._loader, "batch_sampler", None)
        return self._inner is not None and torch_data is not None and type(sampler) is torch_data.BatchSampler


def _states(generators: List[Any]) -> List[Any]:
    return [rng.cpu_state(), *(rng.state_of(generator) for generator in generators)]


def _put_back(generators: List[Any], states: List[Any]) -> None:
    rng.set_cpu_state(states[0])
    for generator, state in zip(generators, states[1:]):
        rng.set_state_of(generator, state)


def _size(value: Any) -> Optional[int]:
    try:
        return len(value)
    except Exception:
        return None
