"""Keras: the callback for ``model.fit``. It saves where nothing of a step or an epoch is left to do, and goes on from there."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional

from . import ResumeError, keras_others, keras_pipelines, keras_variables
from .fit import FINISHED, Due
from .keras_data import Feed
from .keras_fit import KerasFit, Saved, read_saved, write
from .numbers import from_wire
from .recorder import recorder_of
from .session import say
from .wishes import Wishes


def make_callback(wishes: Wishes, tracked: Mapping[str, Any]) -> Any:
    """Makes a callback for one ``fit`` or several, whatever number of others there is.

    Raises:
        TypeError: Objects were given.
    """
    if tracked:
        names = ", ".join(tracked)
        raise TypeError(f"trainstash.keras() takes no {names}: it finds model, optimizer, data and callbacks in fit by itself.")
    import keras

    class Edge(keras.callbacks.Callback):  # type: ignore[misc]
        """A callback at one end of the list, for what is done before all others, or after them."""

        def __init__(self, owner: Conductor, **hooks: Any) -> None:
            super().__init__()
            self.owner = owner
            for name, hook in hooks.items():
                setattr(self, name, owner.guarded(hook))

    class TrainstashCallback(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._conductor = Conductor(wishes, Edge)

        def on_train_begin(self, logs: Any = None) -> None:
            self._conductor.guarded(self._conductor.begin)(self)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Keras calls the callbacks of a batch in other threads unless one of them has this."""

    # Other callbacks are told from these by their module.
    Edge.__module__ = TrainstashCallback.__module__ = __name__
    return TrainstashCallback()


class Conductor:
    """The work behind one callback; each ``fit`` that the callback is given to is another one."""

    def __init__(self, wishes: Wishes, edge: Any) -> None:
        self._wishes = wishes
        self._make_edge = edge
        self._fit: Optional[KerasFit] = None
        #: The checkpoint that is to be gone on from, until its weights are loaded for good.
        self._saved: Optional[Saved] = None

    def guarded(self, hook: Callable[..., None]) -> Callable[..., None]:
        """Wraps a hook so that a failure of ours fails no training: it is named with every checkpoint that follows.

        Only a checkpoint that does not fit, and the end of the process that was asked for, go through.
        """

        def call(*arguments: Any, **words: Any) -> None:
            try:
                hook(*arguments, **words)
            except ResumeError:
                raise
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                if self._saved is not None:
                    raise ResumeError(f"The checkpoint cannot be loaded ({why}). Nothing was trained.") from error
                if self._fit is None:
                    say(f"this fit is not recorded ({why})")
                else:
                    self._numbered.lose("other", f"what Trainstash does in {getattr(hook, '__name__', 'a resume').strip('_')}", why)

        return call

    # ---- the beginning of a fit ----

    def begin(self, callback: Any) -> None:
        """Takes part in the ``fit`` that has begun, unless another callback of ours does."""
        frame = _fit_frame()
        callbacks = getattr(frame.get("callbacks"), "callbacks", None)
        if callbacks is None:
            callbacks = [callback]
        edges = [one for one in callbacks if hasattr(one, "owner") and type(one).__module__ == __name__]
        if any(one.owner is not self or self._fit is not None for one in edges):
            return  # Keras' own loop comes by again, since the list has moved under it.
        callbacks[:] = [one for one in callbacks if one not in edges]
        self._open(callback._model, frame, callbacks)
        self._put_edges(callbacks, callback)

    def _open(self, model: Any, frame: Mapping[str, Any], callbacks: List[Any]) -> None:
        recorder = recorder_of("keras", self._wishes)
        self._numbered = numbered = recorder.next_fit()
        self._saved = read_saved(numbered.folder) if numbered.folder is not None else None
        seed = int(self._saved.facts["seed"]) if self._saved is not None else recorder.seed
        self._fit = fit = KerasFit(model, callbacks, seed)
        self._epochs = int(frame.get("epochs") or 0)
        fit.epoch = int(frame.get("initial_epoch") or 0)
        self._has_stepped = False
        self._is_over = numbered.fate == FINISHED
        iterator = frame.get("epoch_iterator")
        if self._saved is not None:
            _build(model, iterator, self._saved)
            fit.load_variables(self._saved, with_metrics=False)
            keras_others.keep_logs(callbacks, self._saved.facts["callbacks"])
            self._compare_backend(fit)
            self._is_over = self._is_over or bool(self._saved.facts["stopped"])
        if iterator is not None and hasattr(iterator, "_enumerate_iterator") and hasattr(iterator, "_get_iterator"):
            self.guarded(self._look_at_data)(fit, iterator, frame.get("validation_data"))

    def _compare_backend(self, fit: KerasFit) -> None:
        import keras

        then, now = self._saved.facts["backend"] if self._saved else None, keras.backend.backend()
        if then != now:
            fit.problems.lost("other", "the backend of Keras", f"it was {then} when the checkpoint was taken, and is {now} now")

    def _look_at_data(self, fit: KerasFit, iterator: Any, validation: Any) -> None:
        import keras

        fit.feed = Feed(iterator, keras.backend.backend(), fit.seed)
        fit.feed.after_step = self.guarded(self._after_step)
        for name, why in keras_pipelines.problems_of_validation(validation):
            fit.problems.lost("data", name, why)

    def _look_at_callbacks(self, fit: KerasFit) -> None:
        fit.look_around()

    def _put_edges(self, callbacks: List[Any], callback: Any) -> None:
        front = self._make_edge(self, on_epoch_begin=self._epoch_begins, on_train_end=self._nothing_was_left)
        back = self._make_edge(
            self,
            on_train_begin=self._all_have_begun,
            on_train_batch_end=self._batch_ended,
            on_epoch_end=self._epoch_ended,
            on_train_end=self._fit_ended,
        )
        for edge in (front, back):
            edge.set_params(callback.params)
            edge.set_model(callback._model)
        self._steps = (callback.params or {}).get("steps")
        callbacks.insert(0, front)
        callbacks.append(back)

    def _all_have_begun(self, logs: Any = None) -> None:
        fit, saved = self._this, self._saved
        self.guarded(self._look_at_callbacks)(fit)
        if saved is not None:
            progress = saved.facts["progress"]
            fit.step, fit.epoch = int(progress["step"]), int(progress["epoch"])
            # Keras' own BackupAndRestore sets this, too.
            fit.model._initial_epoch = self._epochs if self._is_over else fit.epoch
        if self._numbered.fate != FINISHED:
            total = self._steps * self._epochs if self._steps and self._epochs else None
            self._numbered.begin(fit.step, fit.epoch, total, self._steps, monitor=_monitor(fit.callbacks))

    @property
    def _this(self) -> KerasFit:
        assert self._fit is not None
        return self._fit

    # ---- the place of a checkpoint ----

    def _epoch_begins(self, epoch: int, logs: Any = None) -> None:
        fit, saved = self._this, self._saved
        fit.epoch = epoch
        if saved is not None:
            self._go_on(fit, saved)
        if fit.feed is not None:
            fit.feed.begin_epoch(epoch)

    def _go_on(self, fit: KerasFit, saved: Saved) -> None:
        """Undoes what the callbacks did to the model: each has begun its training, and none the epoch."""
        fit.load_variables(saved, with_metrics=False)
        self._saved = None
        fit.load_surroundings(saved)
        if fit.feed is None or saved.facts["data"] is None:
            if saved.is_inside:
                self._numbered.lose("data", "the place in the epoch", "all of its batches are trained again")
            return
        fit.feed.resume(saved.facts["data"], saved.arrays)
        if saved.is_inside:
            fit.feed.arrived = self.guarded(partial(self._arrive, fit, saved))

    def _arrive(self, fit: KerasFit, saved: Saved) -> None:
        """Loads the state once more at the place of the checkpoint: the epoch has begun once more, as far as the callbacks know, and its
        trained batches were dropped."""
        fit.load_variables(saved, with_metrics=True)
        fit.load_surroundings(saved)
        _give_logs(fit.model, saved.facts.get("logs") or {})

    # ---- steps and epochs ----

    def _batch_ended(self, batch: int, logs: Any = None) -> None:
        fit = self._this
        before = fit.feed.batch if fit.feed is not None else batch
        count = fit.feed.count if fit.feed is not None else None
        # Keras tells the last of the batches that it trains at once, which may be more than there are.
        fit.step += max(1, (batch + 1 if count is None else min(batch + 1, count)) - before)
        fit.logs = logs or {}
        self._numbered.log(fit.step, fit.epoch, fit.logs)
        if not self._has_stepped:
            self._has_stepped = True
            self._look_at_step()
        if fit.feed is None:
            self._between_steps(batch + 1, is_last=False)

    def _look_at_step(self) -> None:
        for kind in keras_pipelines.hidden_draws(self._this.model):
            why = f"{kind} in the training step keeps its place to itself; use keras.random with a SeedGenerator"
            self._this.problems.lost("random", "random numbers of TensorFlow", why)

    def _after_step(self) -> None:
        feed = self._this.feed
        assert feed is not None
        self._between_steps(feed.batch, feed.is_last)

    def _between_steps(self, batch: int, is_last: bool) -> None:
        fit = self._this
        if is_last or fit.model.stop_training:
            return  # The epoch's own end follows: validation, callbacks, and the next order of the data.
        due = self._numbered.due(fit.step)
        if due and not due.leaves and not fit.is_exact and set(due.reasons) <= {"interval", "best"}:
            return  # The end of an epoch is kept where no place inside of it is exact.
        self._save(batch, due)

    def _epoch_ended(self, epoch: int, logs: Any = None) -> None:
        fit = self._this
        self._numbered.log(fit.step, fit.epoch, logs or {}, validated=True)
        fit.epoch = epoch + 1
        if fit.feed is not None:
            fit.feed.end_epoch()
        is_last = fit.epoch >= self._epochs or fit.model.stop_training
        if is_last and not _averages(fit.model):
            return  # The state at the end of the fit is the same, and is kept.
        self._save(0, self._numbered.due_at_epoch(fit.step, fit.epoch), has_stopped=bool(fit.model.stop_training))

    def _save(self, batch: int, due: Due, has_stopped: bool = False) -> None:
        fit, numbered = self._this, self._numbered
        if due:
            self._keep(batch, due, has_stopped)
        if due.leaves:
            numbered.leave(fit.step)

    def _keep(self, batch: int, due: Due, has_stopped: bool) -> None:
        fit = self._this
        try:
            arrays, notes, found = fit.read(batch, has_stopped)
        except Exception as error:
            self._numbered.fail(fit.step, error)
            return
        self._numbered.save_files(fit.place(batch), due, found, lambda folder: write(folder, arrays, notes))

    def _nothing_was_left(self, logs: Any = None) -> None:
        """Ends a fit whose last epoch was trained before: its averages and its callbacks' own ends are still to come."""
        fit, saved = self._this, self._saved
        if saved is None or self._numbered.ended or self._numbered.fate == FINISHED:
            return
        self._load_whole(fit, saved)
        optimizer = fit.model.optimizer
        if getattr(optimizer, "use_ema", False):
            # Keras did so a moment ago, with the weights that the script began with.
            optimizer.finalize_variable_values(fit.model.trainable_weights)

    def _load_whole(self, fit: KerasFit, saved: Saved) -> None:
        fit.load_variables(saved, with_metrics=True)
        fit.load_surroundings(saved)
        if fit.feed is not None and saved.facts["data"] is not None:
            # The next fit may read the same data set.
            fit.feed.resume(saved.facts["data"], saved.arrays)

    def _fit_ended(self, logs: Any = None) -> None:
        fit, numbered, saved = self._this, self._numbered, self._saved
        # Or the next fit would begin there, too.
        fit.model._initial_epoch = None
        if saved is not None:
            if numbered.ended or numbered.fate == FINISHED:
                # What the other callbacks did at the end is in the checkpoint: here they did it to another model.
                self._load_whole(fit, saved)
            self._saved = None
        if numbered.fate != FINISHED:
            has_stopped = bool(saved.facts["stopped"]) if saved is not None else fit.epoch < self._epochs
            due = numbered.finish(fit.step, fit.epoch)
            if due:
                self._keep(0, due, has_stopped)
            if due.leaves:
                numbered.leave(fit.step)
        self._fit = None


def _fit_frame() -> Mapping[str, Any]:
    """Finds the variables of Keras' own ``fit``, which is calling; empty where it is another version's."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit" and "epoch_iterator" in frame.f_locals:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}


def _build(model: Any, iterator: Any, saved: Saved) -> None:
    """Makes the variables that Keras would make with the first batch, and those optimizers that had theirs."""
    import keras

    spec = getattr(getattr(iterator, "_distributed_dataset", None), "element_spec", None)
    if spec is not None and hasattr(model, "_symbolic_build"):
        own = model.optimizer
        is_unbuilt = own is not None and not own.built
        if is_unbuilt:
            own.built = True  # Or it would be made ready here, though its training may never use it.
        try:
            model._symbolic_build(data_batch=spec)
        except Exception:
            # Weights that the model lacks then are named when the checkpoint is loaded.
            pass
        if is_unbuilt:
            own.built = False
    for name, optimizer in keras_variables.optimizers(model).items():
        slots = keras_variables.slots_of(name, saved.arrays)
        if optimizer.built or len(slots) <= len(optimizer.variables):
            continue
        trained = [one for one in model.trainable_variables if keras_variables.has_slot(one, slots)]
        with keras.name_scope(optimizer.name):
            optimizer.build(trained or model.trainable_variables)


def _give_logs(model: Any, newest: Mapping[str, Any]) -> None:
    """Makes the newest step's logs those of the epoch's end where no batch is left to train: data without a length may be at its end."""
    logs_of = getattr(model, "_get_metrics_result_or_logs", None)
    if logs_of is None:
        return

    def once(logs: Any) -> Any:
        vars(model).pop("_get_metrics_result_or_logs", None)
        return logs_of(logs or {name: from_wire(value) for name, value in newest.items()})

    vars(model)["_get_metrics_result_or_logs"] = once


def _averages(model: Any) -> bool:
    """Tells whether Keras puts averages in the place of the weights at the end of a ``fit``."""
    return any(getattr(one, "use_ema", False) for one in keras_variables.optimizers(model).values())


def _monitor(callbacks: List[Any]) -> Optional[Dict[str, str]]:
    """Finds the metric that the script's own callbacks watch, and which of its values are the better ones."""
    for one in callbacks:
        metric = getattr(one, "monitor", None)
        is_better = getattr(one, "monitor_op", None)
        if isinstance(metric, str) and callable(is_better):
            try:
                return {"metric": metric, "mode": "max" if is_better(2.0, 1.0) else "min"}
            except Exception:
                continue
    return None
