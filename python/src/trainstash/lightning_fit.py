"""One fit of Lightning: where a checkpoint is taken, and how a resume comes back to that place.

Lightning saves from hooks, and what belongs to a step goes on after them: validation, plateau schedules, the end of the epoch. So
its loops are followed instead: a checkpoint is taken when one of their rounds is over. On a resume its own ways of restarting are
left out, since they differ from version to version and do or leave out parts of a round: the loops begin as for a new epoch, and
are given their counts just before the next batch."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

from . import ResumeError, rng
from .fit import Due, Fit, Place
from .fit_record import FINISHED, FRESH, RESUMED
from .ingredients import Ingredients
from .lightning_checkpoint import OF_EACH_RANK, Loaded, Places, drop_odd_hyper_parameters, is_cast, monitor_of, own_terms, params_of
from .lightning_data import Loaders, prefetched
from .lightning_loops import (
    Wraps,
    is_last_epoch,
    length_of,
    load_progress,
    marker,
    no_logger,
    not_restarting,
    note_term,
    reload_epochs,
    set_batch_number,
    set_reload_epochs,
    set_sampler_epochs,
)
from .lightning_metrics import NewMetrics, ResultSums
from .lightning_state import Surroundings
from .recorder import Recorder
from .session import STATE_FILE
from .sums import sum_of

# A path that is none: what is saved there comes to us.
_OURS = "trainstash://checkpoint"


class LightningFit:
    """One ``fit`` of a trainer, whose loops it follows."""

    def __init__(self, recorder: Recorder, fit: Fit, trainer: Any, module: Any) -> None:
        self._recorder = recorder
        self._fit = fit
        self._trainer = trainer
        self._loop = trainer.fit_loop
        self._marker: Any = None
        self._loaded: Optional[Loaded] = None
        self._exact: Optional[Dict[str, Any]] = None
        self._got: Optional[Dict[str, Any]] = None
        self._surroundings: Optional[Surroundings] = None
        self._sums: Any = None
        self._has_begun = False
        self._resumes = self._inside = False
        self._seen_step = 0
        self._steps_per_batch: Optional[int] = None
        self._metrics = NewMetrics()
        seed = rng.mix(recorder.seed, fit.number, rng.fingerprint())
        self._loaders = Loaders(trainer, seed, fit.lose)
        self._wraps = Wraps()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Follows the loops meanwhile, and leaves the trainer as it was."""
        trainer, loop, epochs = self._trainer, self._loop, self._loop.epoch_loop
        self._marker = marker(trainer)
        trainer.callbacks.insert(0, self._marker)
        for target, name, around in (
            (loop, "run", self._run),
            (loop, "setup_data", self._setup_training_data),
            (epochs.val_loop, "setup_data", self._setup_validation_data),
            (loop, "reset", self._reset),
            (loop, "on_run_start", self._on_run_start),
            (loop, "on_advance_start", self._on_epoch_start),
            (loop, "on_advance_end", self._on_epoch_end),
            (loop, "on_run_end", self._on_run_end),
            (epochs, "reset", self._reset_epoch),
            (epochs, "advance", self._advance),
            (epochs, "on_advance_end", self._on_batch_end),
            (trainer.strategy, "save_checkpoint", self._save_checkpoint),
            (trainer.strategy, "load_checkpoint", self._load_checkpoint),
            (trainer.strategy, "remove_checkpoint", self._remove_checkpoint),
        ):
            self._wraps.add(target, name, around)
        self._sums = ResultSums(epochs._results, self._metrics.in_training)
        validation = ResultSums(epochs.val_loop._results, self._metrics.in_validation)
        checks = trainer.num_sanity_val_steps
        if self._fit.fate != FRESH:
            trainer.num_sanity_val_steps = 0
        loggers = trainer.loggers
        if self._fit.is_replay:
            trainer.loggers = [no_logger(trainer)]
        try:
            yield
        finally:
            trainer.num_sanity_val_steps = checks
            trainer.loggers = loggers
            self._sums.close()
            validation.close()
            self._wraps.undo()
            if self._marker in trainer.callbacks:
                trainer.callbacks.remove(self._marker)

    # ---- the loops ----

    @property
    def _is_tuning(self) -> bool:
        """Lightning looks for a learning rate or a batch size, with other callbacks, and puts everything back."""
        return self._marker not in self._trainer.callbacks

    def _run(self, original: Callable[[], Any]) -> None:
        if self._is_tuning:
            original()
            return
        fit = self._fit
        state = self._require_loaded().state if fit.fate != FRESH else {}
        self._resumes = fit.fate == RESUMED
        if fit.fate == FINISHED or (fit.ended and state.get("should_stop")):
            self._loop.setup_data()
        else:
            original()
        if not self._has_begun and fit.fate != FRESH:
            self._load_end()

    def _reset(self, original: Callable[[], None]) -> None:
        if self._is_tuning or not self._resumes:
            original()
            return
        not_restarting(self._loop)
        original()
        load_progress(self._loop, self._require_loaded().loops(), "")

    def _on_run_start(self, original: Callable[[], None]) -> None:
        original()
        if not self._is_tuning:
            self._begin()

    def _on_epoch_start(self, original: Callable[[], None]) -> None:
        if self._is_tuning:
            original()
            return
        if self._surroundings is None:
            self._surroundings = Surroundings(self._trainer, self._marker)
        if self._resumes and self._inside:
            # The epoch has begun before: its hooks have run.
            self._loop.setup_data()
            set_sampler_epochs(self._loop)
            return
        if self._resumes:
            self._arrive()
        original()

    def _reset_epoch(self, original: Callable[[], None]) -> None:
        original()
        if self._resumes and not self._is_tuning:
            load_progress(self._loop.epoch_loop, self._require_loaded().loops(), "epoch_loop.")

    def _advance(self, original: Callable[..., None], *arguments: Any, **named: Any) -> None:
        if self._resumes and not self._is_tuning:
            self._arrive()
        original(*arguments, **named)

    def _on_batch_end(self, original: Callable[..., None], *arguments: Any, **named: Any) -> None:
        try:
            original(*arguments, **named)
        except SystemExit:
            # Lightning ends a fit here that was asked to end by SIGTERM. The round is over: its state can be kept.
            if not self._is_tuning and self._trainer.received_sigterm:
                self._terminated()
            raise
        if not self._is_tuning:
            self._between_batches()

    def _on_epoch_end(self, original: Callable[[], None]) -> None:
        if self._is_tuning:
            original()
            return
        self._sums.settle()
        original()
        self._sums.end_epoch()
        self._between_epochs()

    def _on_run_end(self, original: Callable[[], None]) -> None:
        original()
        if self._is_tuning:
            return
        self._log(False, True)
        due = self._fit.finish(self._trainer.global_step, self._epochs_done())
        self._save(Place(self._trainer.global_step, self._epochs_done(), 0), due)
        if due.leaves:
            self._fit.leave(self._trainer.global_step)

    # ---- boundaries ----

    def _between_batches(self) -> None:
        trainer, epochs = self._trainer, self._loop.epoch_loop
        step = trainer.global_step
        if step == self._seen_step:
            return  # Gradients are being accumulated: no boundary.
        if trainer.lightning_module.automatic_optimization is False:
            self._note_steps_per_batch(step - self._seen_step)
        self._seen_step = step
        self._log(True, False)
        if epochs._is_training_done or (trainer.should_stop and self._loop._can_stop_early):
            return  # The end of the epoch follows at once.
        due = self._fit.due(step)
        if due:
            self._save(Place(step, trainer.current_epoch, epochs.batch_progress.current.ready), due)
        if due.leaves:
            self._fit.leave(step)

    def _terminated(self) -> None:
        epochs = self._loop.epoch_loop
        if self._trainer.global_step == self._seen_step or epochs._is_training_done:
            return
        self._log(True, False)
        due = self._fit.terminated(self._trainer.global_step, "SIGTERM")
        self._save(Place(self._trainer.global_step, self._trainer.current_epoch, epochs.batch_progress.current.ready), due)
        self._fit.leave(self._trainer.global_step)

    def _between_epochs(self) -> None:
        step, epochs = self._trainer.global_step, self._epochs_done()
        self._log(False, True)
        if is_last_epoch(self._loop, step):
            return  # The end of the fit follows at once.
        due = self._fit.due_at_epoch(step, epochs)
        if due:
            self._save(Place(step, epochs, 0), due)
        if due.leaves:
            self._fit.leave(step)

    def _epochs_done(self) -> int:
        return int(self._loop.epoch_progress.current.completed)

    # ---- the beginning ----

    def _begin(self) -> None:
        trainer, fit = self._trainer, self._fit
        self._has_begun = True
        self._seen_step = trainer.global_step
        total, per_epoch = length_of(self._trainer)
        fit.begin(
            trainer.global_step, trainer.current_epoch, total, per_epoch, params_of(trainer.lightning_module), monitor_of(trainer.callbacks)
        )
        note_term()
        self._loaders.rank, self._loaders.world = self._recorder.group.rank, self._recorder.group.world
        if getattr(trainer.strategy, "_ddp_kwargs", {}).get("broadcast_buffers") is False:
            fit.lose("weights", "buffers of the other processes", "they are not the same everywhere, and those of the first are kept")

    def _note_steps_per_batch(self, steps: int) -> None:
        """Notes how many steps a batch has: several optimizers each count, and how many is known after the first batch."""
        if self._steps_per_batch == steps or steps < 1:
            return
        self._steps_per_batch = steps
        self._fit.plan(*length_of(self._trainer, steps))

    # ---- taking a checkpoint ----

    def _save(self, place: Place, due: Due) -> None:
        """Saves a checkpoint. All ranks come here: a strategy may have to gather."""
        if not due:
            return
        group, fit, surroundings = self._recorder.group, self._fit, self._surroundings
        assert surroundings is not None
        try:
            state = surroundings.state()
            state["results"] = self._sums.state() if place.batch else {}
            state["loaders"] = self._loaders.state(place.batch > 0, prefetched(self._loop))
            state["reloads"] = reload_epochs(self._loop)
            self._trainer.save_checkpoint(_OURS, weights_only=False)
            checkpoint, self._got = self._got, None
            if group.several and checkpoint is not None:
                # Each process has these parts of its own where metrics are not the same everywhere.
                state["own"] = {name: checkpoint[name] for name in OF_EACH_RANK if name in checkpoint}
            ranks = group.gather(state)
        except Exception as error:
            fit.fail(place.step, error)
            return
        if checkpoint is None or not fit.records:
            return
        found = Ingredients()
        surroundings.note(found, checkpoint, state)
        self._loaders.note(found)
        dropped = drop_odd_hyper_parameters(checkpoint)
        if dropped:
            fit.tell("hyperParameters", f"{', '.join(dropped)} of the hyper-parameters are no plain values and are not in the checkpoints' files. A resume does not need them; load_from_checkpoint() does, as arguments.")
        own = {"format": 2, "step": place.step, "epoch": place.epoch, "batch": place.batch, "seed": self._loaders.seed, "ranks": ranks}
        live = {**checkpoint, "trainstash": own}
        fit.save_state(place, due, found, live, owner=Places(), sum_of=lambda planned: sum_of(own_terms(planned)))

    def _save_checkpoint(self, original: Callable[..., None], checkpoint: Dict[str, Any], filepath: Any, *arguments: Any, **named: Any) -> None:
        if str(filepath) == _OURS:
            self._got = checkpoint
        elif self._is_tuning or not self._fit.is_replay:
            original(checkpoint, filepath, *arguments, **named)

    def _remove_checkpoint(self, original: Callable[..., None], filepath: Any) -> None:
        if self._is_tuning or not self._fit.is_replay:
            original(filepath)

    # ---- loading one ----

    def _load_checkpoint(self, original: Callable[..., Any], path: Any, *arguments: Any, **named: Any) -> Any:
        folder = self._fit.folder
        if folder is None or str(path) != os.path.join(folder, STATE_FILE):
            return original(path, *arguments, **named)
        loaded = self._loaded = Loaded(str(path), self._trainer.global_rank)
        self._inside = loaded.own["batch"] > 0
        self._loaders.seed = int(loaded.own["seed"])
        if loaded.state:
            self._loaders.load(loaded.state["loaders"], self._recorder.left_out.take(self._trainer.accumulate_grad_batches))
        given = dict(loaded.saved)
        if is_cast(self._trainer.lightning_module, loaded.saved["state_dict"]):
            self._exact = given
        return given

    def _require_loaded(self) -> Loaded:
        if self._loaded is None:
            raise ResumeError("Lightning did not load the checkpoint. Nothing was trained.")
        if self._trainer.global_step != self._loaded.own["step"]:
            raise ResumeError(
                f"Lightning stands at step {self._trainer.global_step}, and the checkpoint is of step {self._loaded.own['step']}. Nothing was trained."
            )
        return self._loaded

    def _arrive(self) -> None:
        """Puts back what Lightning does not, at the last moment: what hooks have drawn and set on the way is undone."""
        self._resumes = False
        not_restarting(self._loop)
        loaded, world = self._require_loaded(), self._recorder.group.world
        state = loaded.state
        if loaded.world != world:
            self._fit.lose("random", "random numbers", f"the checkpoint is of {loaded.world} processes, and there are {world}")
        if state:
            self._put_back(state)
            self._sums.load(state["results"])
            set_reload_epochs(self._loop, state["reloads"])
            if self._inside:
                self._trainer._logger_connector._first_loop_iter = False
                set_batch_number(self._loop)
        schedules = {f"scheduler {i}": one.scheduler for i, one in enumerate(self._trainer.lr_scheduler_configs)}
        self._recorder.apply_params({str(i): one for i, one in enumerate(self._trainer.optimizers)}, schedules)
        self._metrics.arrived(self._trainer.callback_metrics)
        self._loaders.arrived()

    def _put_back(self, state: Mapping[str, Any]) -> None:
        assert self._surroundings is not None
        if self._exact is not None:
            # Lightning makes the module of its precision once the weights are loaded, and rounds them before that.
            self._trainer.lightning_module.load_state_dict(self._exact["state_dict"], strict=False)
            self._exact = None
        for name, why in self._surroundings.put_back(state, self._inside, self._require_loaded().own["ranks"][0].get("networks", {})):
            self._fit.lose("random", f"random numbers of {name}", why)

    def _load_end(self) -> None:
        """Leaves everything as it was when the fit had come to its end."""
        self._surroundings = Surroundings(self._trainer, self._marker)
        not_restarting(self._loop)
        load_progress(self._loop, self._require_loaded().loops(), "")
        if self._fit.fate == RESUMED:
            self._fit.begin(self._trainer.global_step, self._epochs_done(), self._trainer.global_step, None)
            self._fit.stays_finished()
        state = self._require_loaded().state
        if state:
            self._put_back(state)
        self._loaders.arrived()

    # ---- inside ----

    def _setup_training_data(self, original: Callable[[], None]) -> None:
        with self._loaders.wrapping(self._loop, "train"):
            original()

    def _setup_validation_data(self, original: Callable[[], None]) -> None:
        with self._loaders.wrapping(self._loop.epoch_loop.val_loop, "validation"):
            original()

    def _log(self, in_epoch: bool, at_end: bool) -> None:
        trainer = self._trainer
        trained, validated = self._metrics.news(trainer.callback_metrics, at_end)
        epoch = trainer.current_epoch if in_epoch else max(0, self._epochs_done() - 1)
        if trained:
            self._fit.log(trainer.global_step, epoch, trained)
        if validated or (trained and at_end):
            self._fit.log(trainer.global_step, epoch, validated, validated=True)
