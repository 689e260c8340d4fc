"""PaddlePaddle's ``Model.fit``. Paddle begins its epochs at 0 in every launch: those that are done, and the batches of one that
is begun, are passed over without a step, a callback or a random number."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

from . import ResumeError, arrayfile, paddle_data, paddle_objects, rng
from .data import Batches
from .fit import FINISHED, FRESH, Due, Fit, Place
from .hidden_fit import HiddenState, named
from .ingredients import Ingredients
from .kinds import NAMES
from .paddle_hidden import parts_of, reading_of
from .paddle_logs import numbers_in, plain_logs
from .paddle_state import ModelState
from .recorder import recorder_of
from .session import ARRAYS_FILE
from .special import short
from .watched import Watched
from .wishes import Wishes

_FORMAT = 1
#: Shows how far it is; a training goes the same way without it.
_BAR = "ProgBarLogger"
_HOOK = "trainstash_around"


def make_callback(wishes: Wishes, tracked: Mapping[str, Any]) -> Any:
    """Makes the callback for ``fit``. Raises TypeError for arguments, which it takes none of."""
    if tracked:
        raise TypeError(f"trainstash.paddle() keeps what paddle.Model has by itself, and takes no {', '.join(tracked)}")
    import paddle

    recorder = recorder_of("paddle", wishes)
    _surround(paddle.hapi.callbacks.CallbackList)

    class TrainstashCallback(paddle.callbacks.Callback):  # type: ignore[misc]
        trainstash_training: Optional[Training] = None

        def trainstash_around(self, callbacks: Any, name: str, arguments: Any, call: Callable[[], None]) -> None:
            if name == "on_train_begin":
                self.trainstash_training = Training(recorder.next_fit(), recorder, self.model, self.params, callbacks, self)
            training = self.trainstash_training
            if training is None or training.is_over:
                call()
            else:
                training.around(name, arguments, call)

    return TrainstashCallback()


def _surround(kind: Any) -> None:
    """Lets our callback stand around all others: Paddle adds its own behind those of the user."""
    if getattr(kind, _HOOK, False):
        return
    original = kind._call

    def call(self: Any, name: str, *arguments: Any) -> None:
        ours = next((one for one in self.callbacks if hasattr(one, _HOOK)), None)
        if ours is None:
            original(self, name, *arguments)
        else:
            ours.trainstash_around(self, name, arguments, lambda: original(self, name, *arguments))

    kind._call = call
    setattr(kind, _HOOK, True)


class Training:
    """One ``fit``, from ``on_train_begin`` to ``on_train_end``. Keeps the place in its data."""

    def __init__(self, fit: Fit, recorder: Any, model: Any, params: Mapping[str, Any], callbacks: Any, own: Any) -> None:
        self._fit = fit
        self._recorder = recorder
        self._model = model
        self._callbacks = [one for one in callbacks.callbacks if one is not own]
        self._epochs, self._per_epoch = params.get("epochs"), params.get("steps")
        self.is_over = False
        self.seed = int(recorder.launch.get("seed") or 0)
        self.rank, self.world = 0, 1
        self._step = 0
        self._epoch = 0
        self._batches: Optional[Batches] = None
        # Batches that Paddle is told to stop after; those of validation count, too.
        self._planned: Optional[int] = getattr(model, "num_iters", None)
        self._state = ModelState(model)
        # The parts of a resume that are left to put back, epochs and batches to pass over, and whether that is going on.
        self._saved: Optional[Mapping[str, Any]] = None
        self._first_epoch = 0
        self._skip = 0
        self._turn = 0
        self._is_muted = False
        self._ends_at_once = False
        self._logs: Dict[str, Any] = {}
        self._hidden: List[HiddenState] = []
        self._watched_loaders: List[Any] = []
        self._attributes = Watched(self._is_known, paddle_objects.plain_tensor, paddle_objects.tensor_of)

    # ---- what Paddle does ----

    def around(self, name: str, arguments: Any, call: Callable[[], None]) -> None:
        """Stands around an event that Paddle is about to tell all callbacks; ``call`` tells them."""
        if name == "on_train_begin":
            call()
            self._begin()
        elif name == "on_train_end":
            self._end(arguments, call)
        elif name == "on_epoch_begin":
            self._epoch_begins(int(arguments[0]), call)
        elif not self._is_muted:
            call()
            if name == "on_train_batch_end":
                self._step += 1
                self._fit.log(self._step, self._epoch, numbers_in(arguments[1]))
            elif name == "on_eval_end":
                metrics = {f"val_{key}": value for key, value in numbers_in(arguments[0]).items()}
                self._fit.log(self._step, self._epoch, metrics, validated=True)

    def _begin(self) -> None:
        for name, value in self._watched():
            self._attributes.add(name, value)
        callbacks = [one for one in self._callbacks if type(one).__name__ != _BAR]
        self._hidden.append(HiddenState(lambda: parts_of(self._model, callbacks)))
        model, fit = self._model, self._fit
        if fit.fate != FRESH:
            assert fit.folder is not None
            self._restore(_read(fit.folder))
        total = self._per_epoch * self._epochs if self._per_epoch and self._epochs else None
        if self._planned is not None:
            total = self._planned if total is None else min(total, self._planned)
        fit.begin(self._step, self._epoch, total, self._per_epoch)
        self.rank, self.world = int(self._recorder.group.rank), int(self._recorder.group.world)
        if self._ends_at_once:
            self.at_place()
        self._original = model._run_one_epoch
        model._run_one_epoch = self._run_one_epoch

    def _epoch_begins(self, epoch: int, call: Callable[[], None]) -> None:
        if epoch > self._first_epoch and not self._is_muted:
            self._epoch_is_done(epoch)
        self._is_muted = self._ends_at_once or epoch < self._first_epoch
        if self._is_muted:
            return
        if self._saved is not None and not self._saved["inside"]:
            self.at_place()
        self._epoch = epoch
        call()

    def _epoch_is_done(self, epochs: int) -> None:
        """Saves what is due once all that belongs to the epochs before is done: their validation, and whatever follows it."""
        self._epoch = epochs
        self._save(self._fit.due_at_epoch(self._step, epochs), 0)

    def _run_one_epoch(self, loader: Any, callbacks: Any, mode: str, *more: Any, **named: Any) -> Any:
        if self.is_over:
            return self._original(loader, callbacks, mode, *more, **named)
        if mode != "train":
            self._watch_data(loader, "evaluation data")
            # Draws in Paddle's thread and those of the network would take turns by chance.
            return dict(self._logs) if self._is_muted else self._original(paddle_data.in_step(loader), callbacks, mode, *more, **named)
        self._watch_data(loader, "data set")
        if self._is_muted:
            return dict(self._logs)
        if self._batches is None or not self._batches.wraps(loader, None, False):
            self._batches = Batches(self, loader, "0")
            self._batches.where = "fit"
            self._batches.place.following = self._turn
        self._logs = self._original(_Epoch(self, self._batches, self._skip), callbacks, mode, *more, **named)
        return self._logs

    def _watch_data(self, loader: Any, name: str) -> None:
        """Watches what a loader reads with: what its data set counts is state, also where this fit reads nothing of it any more."""
        dataset = getattr(loader, "dataset", None)
        if dataset is not None and not any(one is loader for one in self._watched_loaders):
            self._watched_loaders.append(loader)
            self._attributes.add(name, dataset, depth=0)
            self._hidden.append(HiddenState(lambda: reading_of(loader)))

    def _end(self, arguments: Any, call: Callable[[], None]) -> None:
        trained = not self._ends_at_once and self._fit.fate != FINISHED
        if trained:
            whole = self._batches is None or self._batches.place.done
            self._epoch = min(self._epoch + 1, self._epochs or self._epoch + 1) if whole and self._batches is not None else self._epoch
            due = self._fit.finish(self._step, self._epoch)
            self._save(due, 0 if whole or self._batches is None else self._batches.taken)
        self._is_muted = False
        self.is_over = True
        self._model.__dict__.pop("_run_one_epoch", None)
        call()

    # ---- batches that are passed over ----

    def skipped(self, count: int) -> Iterator[Any]:
        """Batches that Paddle counts, and nothing else sees."""
        import paddle

        model = self._model
        losses = [0.0]
        model.train_batch = lambda *_: (losses, []) if model._metrics and model._loss else losses
        self._is_muted = True
        try:
            for _ in range(count):
                yield [paddle.zeros([1])]
        finally:
            model.__dict__.pop("train_batch", None)
            self._is_muted = False
        self._skip = 0

    # ---- the place in the data ----

    #: True: the counts of the data set are kept with the attributes of all objects.
    keeps_data_set = True

    @property
    def epoch(self) -> int:
        return self._epoch

    def is_mine(self) -> bool:
        return os.getpid() == int(self._recorder.pid)

    def entered(self, loader: Batches) -> None:
        saved = self._saved
        if saved is None or not saved["inside"]:
            return
        problem = loader.restore(saved["loader"], active=True)
        if problem is not None:
            self._fit.lose("data", f"the data of {loader.where}", problem)

    def received(self, loader: Batches, batch: Any) -> None:
        if self._saved is not None:
            self.at_place()
        loader.stepped = True

    def asked(self, loader: Batches) -> None:
        if loader.is_at_end():
            return  # The end of the epoch follows.
        self._save(self._fit.due(self._step), loader.taken)

    def left(self, loader: Batches) -> None:
        return

    def at_place(self) -> None:
        """Puts back whatever was drawn and counted on the way here."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        if self.rank < len(saved["random"]) and len(saved["random"]) == self.world:
            for name, why in rng.restore(saved["random"][self.rank]):
                self._fit.lose("random", f"random numbers of {name}", why)
        else:
            why = f"there were {len(saved['random'])} processes, and there are {self.world} now"
            self._fit.lose("random", "random numbers of each process", why)
        gone = self._attributes.put_back(saved["attributes"])
        if gone:
            self._fit.lose("callback", ", ".join(gone[:3]), "it is not there any more")
        self._state.put_gradients_back(saved["gradients"])

    # ---- into a checkpoint ----

    def _save(self, due: Due, batch: int) -> None:
        if due:
            place = Place(self._step, self._epoch, batch)
            try:
                found = Ingredients()
                packed = arrayfile.pack(self._whole(found, batch))
                for where, why in packed.lost:
                    found.lost(_kind_of(where), where, why)
                self._fit.save_files(place, due, found, lambda folder: _write(packed, folder))
            except (SystemExit, KeyboardInterrupt):
                raise
            except Exception as error:
                self._fit.fail(self._step, error)
        if due.leaves:
            self._fit.leave(self._step)

    def _whole(self, found: Ingredients, batch: int) -> Dict[str, Any]:
        model = self._model
        states = self._recorder.group.gather(rng.capture())
        changed, lost = self._attributes.state()
        self._note(found, states, lost)
        for one in self._hidden:
            one.note(found, [*changed, *(path for path, _ in lost)])
        loader = self._batches
        return {
            **self._state.saved(found),
            "trainstash": {
                "format": _FORMAT,
                "step": self._step,
                "epoch": self._epoch,
                "inside": batch > 0,
                "seed": self.seed,
                "world": self.world,
                "stopped": bool(model.stop_training),
                # Paddle deletes the number when it has come to 0.
                "planned": self._planned,
                "left": getattr(model, "num_iters", 0) if self._planned is not None else None,
                "logs": plain_logs(self._logs),
                "random": states,
                "attributes": changed,
                "loader": loader.state(active=batch > 0) if loader is not None else {"turn": 0, "batch": 0, "shape": {}},
                "gradients": self._state.gradients(found),
            },
        }

    def _note(self, found: Ingredients, states: List[Any], lost: List[Any]) -> None:
        for name in rng.names_in(states[0]):
            found.kept("random", f"random numbers of {name}" + (f" of {len(states)} processes" if len(states) > 1 else ""))
        loader = self._batches
        if loader is None or loader.lacks is None:
            found.kept("data", NAMES["data"])
        else:
            found.lost("data", f"the data of {loader.where}", loader.lacks)
        found.absent("loop", NAMES["loop"])
        found.kept("callback", NAMES["callback"])
        for path, why in lost:
            found.lost("callback", path, why)

    # ---- out of a checkpoint ----

    def _restore(self, saved: Mapping[str, Any]) -> None:
        """Raises ResumeError when weights or optimizer do not fit; then nothing was changed."""
        model, own = self._model, saved["trainstash"]
        self._state.restore(saved)
        self._step, self._epoch, self.seed = own["step"], own["epoch"], own["seed"]
        self._first_epoch, self._logs = own["epoch"], own["logs"]
        self._skip = int(own["loader"]["batch"]) if own["inside"] else 0
        self._turn = int(own["loader"]["turn"])
        stopped = own["stopped"]
        if self._planned is not None and own["planned"] is not None:
            left = own["left"] + self._planned - own["planned"]
            model.num_iters = max(0, left) + self._skip
            stopped = left <= 0 or (stopped and own["left"] > 0)
        done = self._epochs is not None and own["epoch"] >= self._epochs
        self._ends_at_once = self._fit.fate == FINISHED or stopped or done
        model.stop_training = stopped
        self._saved = own
        if own["inside"]:
            # Metrics are asked for their sums while batches are passed over.
            self._attributes.put_back(own["attributes"])

    # ---- inside ----

    def _watched(self) -> Iterator[Any]:
        yield from named([one for one in [*self._callbacks, *self._model._metrics] if type(one).__name__ != _BAR])
        for path, layer in self._model.network.named_sublayers(include_self=True):
            yield f"layer {path}", paddle_objects.Plain(layer)
        if self._model._loss is not None:
            loss = self._model._loss
            yield "loss", paddle_objects.Plain(loss) if hasattr(loss, "named_sublayers") else loss

    def _is_known(self, value: Any) -> bool:
        return value is self._callbacks or paddle_objects.is_known(value)


class _Epoch:
    """The batches that Paddle iterates over for one epoch."""

    def __init__(self, training: Training, batches: Batches, skip: int) -> None:
        self._training = training
        self._batches = batches
        self._skip = skip

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        if self._skip:
            yield from self._training.skipped(self._skip)
        yield from self._batches


def _write(packed: arrayfile.Packed, folder: str) -> None:
    arrayfile.write(packed, os.path.join(folder, ARRAYS_FILE))


def _read(folder: str) -> Mapping[str, Any]:
    path = os.path.join(folder, ARRAYS_FILE)
    try:
        saved: Mapping[str, Any] = arrayfile.read(path)
    except Exception as error:
        raise ResumeError(f"{path} cannot be read: {short(error)}. Nothing was loaded.") from error
    if saved["trainstash"]["format"] > _FORMAT:
        raise ResumeError(f"{path} is of a newer version of trainstash. Nothing was loaded.")
    return saved


def _kind_of(place: str) -> str:
    first, _, rest = place.partition(".")
    kinds = {"model": "weights", "loss": "weights", "buffers": "weights", "optimizer": "optimizer", "scaler": "scaler"}
    return kinds.get(first, "callback" if rest.startswith("attributes") else "other")
