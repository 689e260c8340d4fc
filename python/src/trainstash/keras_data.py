"""The batches of one ``fit``: how many were trained in this epoch, and the way back to that place.

Keras begins every epoch with its first batch. So an epoch that was broken off is begun again with the random numbers that it
had begun with, and the batches that were trained are read and dropped."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from . import generators, keras_objects, keras_pipelines, keras_random

State = Dict[str, Any]
_BASE = "trainstash/data/"
#: Attributes of a PyDataset that are settings.
_SETTINGS = ("workers", "use_multiprocessing", "max_queue_size", "_workers", "_use_multiprocessing", "_max_queue_size")


class Feed:
    """A feed between Keras' own iterator and its training loop."""

    def __init__(self, epoch_iterator: Any, backend: str, seed: int) -> None:
        self._keras = epoch_iterator
        self.source = keras_pipelines.source_of(epoch_iterator.data_adapter, backend)
        self.problems: List[Tuple[str, str]] = list(self.source.problems)
        #: Batches of this epoch that were trained.
        self.batch = 0
        self.is_inside = False
        #: Called when the place of a resume is reached, with everything of Keras' own epoch begin behind it.
        self.arrived: Optional[Callable[[], None]] = None
        #: Called when nothing of a step is left to do.
        self.after_step: Callable[[], None] = lambda: None
        self._backend = backend
        self._place: Any = None
        if keras_pipelines.needs_seed(epoch_iterator.data_adapter, backend):
            self._place = keras_pipelines.seed_arrays(epoch_iterator, seed)
        self._drop_peeked()
        self._epoch = 0
        self._made = 0
        self._carried = 0
        self._skip = 0
        self._back_to: Optional[State] = None
        #: The state with which the iterator in use began.
        self._began: State = {}
        self._saved_arrays: Dict[str, Any] = {}
        # The place of a resume, until an epoch begins there: a fit that has no epoch left ends with it.
        self._unread: Optional[State] = None
        self._whole_before = self._attributes(whole=True)
        self._take_over()

    def _drop_peeked(self) -> None:
        """Threads of a PyDataset go on with what they had made when Keras built the model, and every later epoch is late by that."""
        enqueuer = getattr(self._keras.data_adapter, "enqueuer", None)
        if enqueuer is None:
            return
        while not enqueuer.ready_queue.empty():
            enqueuer.ready_queue.get_nowait()
        if self._keras.steps_per_epoch:
            self.problems.append(("the data's order", "with steps_per_epoch its threads keep batches for the next epoch"))

    def _take_over(self) -> None:
        get_iterator = self._keras._get_iterator
        enumerate_epoch = self._keras._enumerate_iterator

        def counted() -> Any:
            # Elsewhere a pass over a pipeline begins when its first batch is read.
            self._made += self._backend == "tensorflow"
            return get_iterator()

        self._keras._get_iterator = counted
        self._keras._enumerate_iterator = lambda: self._batches(enumerate_epoch)

    # ---- what Keras iterates over ----

    def begin_epoch(self, epoch: int) -> None:
        """Tells which epoch comes, before Keras asks for its batches."""
        self._epoch = epoch

    def end_epoch(self) -> None:
        """Tells that the epoch is over. Where data without a length comes to its end, Keras leaves the iterator behind."""
        self.is_inside = False

    def _batches(self, enumerate_epoch: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        here = keras_random.capture() if self._skip or self._carried else None
        try:
            self._begin()
        except Exception as error:
            # The order of this epoch is what Keras makes of it.
            self._back_to, self._skip = None, 0
            self.problems.append(("the data's order", f"{type(error).__name__}: {error}"))
        carried, skip = self._carried, self._skip
        self._skip = 0
        for begin, end, iterator in enumerate_epoch():
            if carried and here is not None and self._back_to is not None:
                _drop(iterator, carried)
                self._keras._steps_seen += carried
                carried = 0
            if end < skip and self._back_to is not None:
                if not _drop(iterator, self._keras.steps_per_execution):
                    self.problems.append(("the place in the data", "there are fewer batches than when the checkpoint was taken"))
                    break
                continue
            self._arrive(here)
            self.batch = begin
            yield begin, end, iterator
            self.batch = end + 1 if self.count is None else min(end + 1, self.count)
            if self.source.fills_cache and self.is_last:
                self._read_end(iterator)
            self.after_step()
        self.is_inside = False

    def _read_end(self, iterator: Any) -> None:
        """Asks for one batch more than there are: TensorFlow throws a cache away whose end nobody has read. A prefetch reads it by chance."""
        if self._keras.steps_per_epoch is not None or _drop(iterator, 1):
            self._lose_order("the epoch ends before the data does, and tf.data's cache is filled by chance; put .cache() before .shuffle() and before random maps")

    def _lose_order(self, why: str) -> None:
        problem = ("the data's order", why)
        if problem not in self.problems:
            self.problems.append(problem)

    def _begin(self) -> None:
        self._unread = None
        carried = self._steps_carried()
        if self._back_to is not None:
            self._set_objects(self._back_to["began"])
            failed = keras_random.restore(self._back_to["began"]["rng"]) if self._back_to["began"].get("rng") else []
            self.problems += [(f"random numbers of {name}", why) for name, why in failed]
            own = {key: array for key, array in self._saved_arrays.items() if key.startswith(f"{_BASE}began/")}
            self._began = {**self._back_to["began"], "arrays": own}
        elif carried == 0:
            self._carried = 0
            self._made += self._backend != "tensorflow"
            if self.source.kind != "tf.data" and self._keras._current_iterator is not None:
                # Made ahead of time, and not read yet: it would draw its order from numbers of another moment.
                self._keras._current_iterator = None
            self._began = {"rng": keras_random.capture(), "epoch": self._epoch, **self._objects("began/")}
        else:
            self._carried = carried
        if self._place is not None:
            self._place.assign([int(self._place.numpy()[0]), int(self._began.get("epoch", self._epoch))])
        self.batch = 0
        self.is_inside = True

    def _arrive(self, here: Optional[State]) -> None:
        if self._back_to is not None:
            self._back_to = None
            if here is not None:
                keras_random.restore(here)
        arrived, self.arrived = self.arrived, None
        if arrived is not None:
            arrived()

    def _steps_carried(self) -> int:
        """Batches that earlier epochs have read from the iterator that this one goes on with."""
        keras = self._keras
        goes_on = keras._current_iterator is not None and keras.steps_per_epoch is not None
        return int(keras._steps_seen) if goes_on else 0

    @property
    def count(self) -> Optional[int]:
        count = self._keras.num_batches
        return int(count) if count else None

    @property
    def is_last(self) -> bool:
        """Tells whether the epoch has no batch left. Unknown for data without a length, which counts as "no": it is asked for one more."""
        return self.count is not None and self.batch >= self.count

    # ---- checkpoints ----

    def state(self) -> Tuple[State, Dict[str, Any]]:
        """Returns the place in the data, as JSON can hold it, and the arrays that it refers to."""
        if self._unread is not None:
            return self._unread, {key: array for key, array in self._saved_arrays.items() if key.startswith(_BASE)}
        carried = self._carried if self.is_inside else self._steps_carried()
        arrays: Dict[str, Any] = {}
        now = self._objects("now/")
        arrays.update(now.pop("arrays", {}))
        began = dict(self._began)
        arrays.update(began.pop("arrays", {}))
        needs_begin = self.is_inside or carried > 0
        if not needs_begin:
            arrays = {key: value for key, value in arrays.items() if not key.startswith(f"{_BASE}began/")}
        state = {
            "kind": self.source.kind,
            "batch": self.batch if self.is_inside else 0,
            "carried": carried,
            "made": self._made if self.source.reshuffles else 0,
            "count": self._keras._num_batches,
            "seed": int(self._place.numpy()[0]) if self._place is not None else None,
            "seeds": keras_pipelines.seeds_in(self.source.dataset) if self.source.kind == "tf.data" and not self.source.problems else None,
            "began": began if needs_begin else None,
            "now": now,
        }
        return state, arrays

    def resume(self, saved: State, arrays: Mapping[str, Any]) -> None:
        """Makes the next epoch begin where a checkpoint stands. Call it before that epoch's ``on_epoch_begin``."""
        if saved["kind"] != self.source.kind:
            self.problems.append(("the place in the data", f"it came from {saved['kind']}, and comes from {self.source.kind} now"))
            return
        if saved["seeds"] is not None and saved["seeds"] != keras_pipelines.seeds_in(self.source.dataset):
            self.problems.append(("the data's order", "tf.data's seeds are others than when the checkpoint was taken"))
        self._saved_arrays, self._unread = dict(arrays), saved
        if self._place is not None and saved["seed"] is not None:
            self._place.assign([saved["seed"], int(self._place.numpy()[1])])
        self._keras._num_batches = saved["count"] if self._keras._num_batches is None else self._keras._num_batches
        self._set_objects(saved["now"])
        self._skip, self._carried = int(saved["batch"]), int(saved["carried"])
        if self._skip or self._carried:
            self._back_to = {"began": saved["began"]}
        self._repeat_passes(int(saved["made"]) - (1 if self._back_to else 0))

    def _repeat_passes(self, wanted: int) -> None:
        """Begins as many passes as there were: each one over a pipeline that shuffles takes the next seeds, whether or not
        anything is read."""
        if self.source.reshuffles and not self.source.problems:
            for _ in range(wanted - self._made):
                iter(self.source.dataset) if self._backend == "tensorflow" else next(iter(self.source.dataset), None)
        self._made = max(self._made, wanted)

    # ---- data sets with a state ----

    def _attributes(self, whole: bool) -> Optional[keras_objects.Attributes]:
        if self.source.kind != "PyDataset":
            return None
        return keras_objects.attributes_of(self.source.dataset, _SETTINGS, whole=whole)

    def _objects(self, folder: str) -> State:
        """Collects what a data set and its generators hold now."""
        found: State = {}
        read = self._attributes(whole=True)
        if read is not None and self._whole_before is not None:
            changed = read.changed_since(self._whole_before)
            # Small ones are kept even where they have not changed: another process may have drawn others.
            small = {name: value for name, value in read.values.items() if _size(read, name) <= 1 << 20}
            values = {**small, **changed.values}
            large = [name for name in values if _size(read, name) > 256 << 20]
            for name in large:
                self._lose_once(name, "it changes, and is too large to be kept")
                del values[name]
            for name, why in read.lost:
                self._lose_once(name, why)
            kept = {key: array for key, array in read.arrays.items() if key.split("/", 1)[0] in values}
            found["attributes"] = values
            found["arrays"] = {f"{_BASE}{folder}{key}": array.copy() for key, array in kept.items()}
        drawn = {name: generators.state_of(one) for name, one in keras_pipelines.generators_of(self.source).items()}
        if drawn:
            found["generators"] = {name: keras_random.plain(state) for name, state in drawn.items()}
        found["folder"] = folder
        return found

    def _set_objects(self, saved: Optional[State]) -> None:
        if not saved:
            return
        prefix = f"{_BASE}{saved.get('folder', '')}"
        arrays = {key[len(prefix) :]: array for key, array in self._saved_arrays.items() if key.startswith(prefix)}
        if saved.get("attributes"):
            failed = keras_objects.put_back(self.source.dataset, saved["attributes"], arrays)
            self.problems += [(f"{name} of the data set", why) for name, why in failed]
        own = keras_pipelines.generators_of(self.source)
        for name, state in saved.get("generators", {}).items():
            if name in own:
                generators.set_state(own[name], keras_random.lively(state))

    def _lose_once(self, name: str, why: str) -> None:
        problem = (f"{name} of the data set", why)
        if problem not in self.problems:
            self.problems.append(problem)


def _drop(iterator: Any, count: int) -> bool:
    """Reads batches that were trained before. Returns whether there were as many."""
    with contextlib.suppress(StopIteration):
        for _ in range(count):
            next(iterator)
        return True
    return False


def _size(read: keras_objects.Attributes, name: str) -> int:
    return sum(int(array.nbytes) for key, array in read.arrays.items() if key.split("/", 1)[0] == name)
