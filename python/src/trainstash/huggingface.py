"""Transformers' Trainer. A checkpoint is a `checkpoint-N` folder that the Trainer writes for us where nothing of a step is left
to do: after its evaluation, and at an epoch's end after what is done there."""

from __future__ import annotations

import math
import os
import shutil
from typing import Any, Dict, List, Mapping, Optional

from . import ResumeError, best_model, rng, trainer_files
from .beside import Beside, put_into
from .fit import FINISHED, Due, Fit, Place
from .hidden_fit import HiddenState
from .ingredients import Ingredients
from .recorder import Recorder, recorder_of
from .session import say
from .trainer_data import TrainingData
from .trainer_objects import OF_MODULE, OF_TRAINER, callbacks_with_state, ignored_of, modules_with_state, monitor_of, params_of, parts_of
from .wishes import Wishes

# Ends of the names of what is logged and measures no training.
_RUN_TIMES = ("_runtime", "_per_second", "_flos")


def attach_transformers(trainer: Any, wishes: Wishes) -> Any:
    from transformers import TrainerCallback

    training = _Training(trainer, recorder_of("transformers", wishes))

    class TrainstashCallback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.begin(state)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.epoch_begins()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.put_back()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.step_ends()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.in_epoch = False

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            training.log(state, logs or {})

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.end()

    # The first of all: it puts back what the others are to find.
    trainer.callback_handler.callbacks.insert(0, TrainstashCallback())
    training.take_over()
    return trainer


class _Training:
    """The state that the Trainer's callbacks, its loader and its checkpoints share."""

    def __init__(self, trainer: Any, recorder: Recorder) -> None:
        self._trainer = trainer
        self._recorder = recorder
        self._fit: Optional[Fit] = None
        self._data = TrainingData(0, 0)
        #: Between the first step of an epoch and the end of its last one.
        self.in_epoch = False
        # Since the last boundary: the Trainer has saved by itself. The epoch was left before its last batch.
        self._saved_itself = self._left_early = False
        self._epoch = 0
        self._beside: Dict[str, Beside] = {}
        self._hidden: Optional[HiddenState] = None
        # The state of the checkpoint that is resumed; `_pending`: the same until callbacks have got back what they had counted.
        self._restored: Optional[Dict[str, Any]] = None
        self._pending: Optional[Dict[str, Any]] = None
        self._expected: Optional[int] = None
        self._is_over = self._evaluates_on_start = False
        self._trial: Any = None

    @property
    def _of_fit(self) -> Fit:
        assert self._fit is not None
        return self._fit

    # ---- instead of the Trainer's own ----

    def take_over(self) -> None:
        """Puts ours around methods of this one Trainer."""
        trainer = self._trainer
        train, loader, after_step, save = trainer.train, trainer.get_train_dataloader, trainer._maybe_log_save_evaluate, trainer._save_checkpoint
        load_rng = trainer._load_rng_state

        def train_resumed(resume_from_checkpoint: Any = None, trial: Any = None, *args: Any, **kwargs: Any) -> Any:
            self._trial = trial
            result = train(self._begins_at(resume_from_checkpoint), trial, *args, **kwargs)
            loss = self._whole_loss()
            return result if loss is None else result._replace(training_loss=loss)

        def seeded_loader() -> Any:
            evaluates = getattr(trainer.args.eval_strategy, "value", trainer.args.eval_strategy) != "no"
            return self._data.seeded(loader(), trainer.eval_dataset if evaluates else None)

        def after_step_and_boundary(*args: Any, **kwargs: Any) -> None:
            after_step(*args, **kwargs)
            self._boundary()

        def save_noted(*args: Any, **kwargs: Any) -> Any:
            self._saved_itself = True
            return save(*args, **kwargs)

        def rng_loaded(checkpoint: Any) -> None:
            if self._restored is None:
                load_rng(checkpoint)
            elif self._restored["data"]["batch"] > 0:
                # At an epoch's beginning `epoch_begins` has done it, before the callbacks that draw.
                self._put_rng_back()

        trainer.train, trainer.get_train_dataloader, trainer._save_checkpoint = train_resumed, seeded_loader, save_noted
        trainer._maybe_log_save_evaluate, trainer._load_rng_state = after_step_and_boundary, rng_loaded
        log = trainer.log

        def log_whole(logs: Dict[str, Any], *args: Any, **kwargs: Any) -> None:
            self._correct(logs)
            log(logs, *args, **kwargs)

        trainer.log = log_whole
        if hasattr(trainer, "_init_training_state"):
            place = trainer._init_training_state

            def exact_place(*args: Any, **kwargs: Any) -> Any:
                return self._place(place(*args, **kwargs))

            trainer._init_training_state = exact_place

    def _begins_at(self, wanted: Any) -> Any:
        """Begins a fit, and returns what it is to load. ``wanted``: what the script asks for."""
        args = self._trainer.args
        fit = self._fit = self._recorder.next_fit()
        self._data = TrainingData(int(args.seed), int(args.process_index))
        self._restored, self._pending, self._expected, self._is_over = None, None, None, False
        if fit.folder is None:
            return wanted
        folder = trainer_files.folder_in(fit.folder)
        self._expected = trainer_files.step_of(folder)
        self._restored = trainer_files.read_own(folder)
        self._leave_out(self._restored)
        self._is_over = fit.fate == FINISHED
        said = best_model.put_back(args, fit.folder, folder)
        if wanted not in (None, True, False):
            say(f"the training goes on from step {self._expected}, and not from {wanted}, which the script asks for")
        if said:
            say(said)
        return folder

    def _leave_out(self, restored: Optional[Dict[str, Any]]) -> None:
        """Lets the fit go on behind the batches that a rollback leaves out."""
        each = int(self._trainer.args.gradient_accumulation_steps)
        if restored is not None:
            restored["data"]["batch"] += math.ceil(self._recorder.left_out.take(each) / each) * each

    def _place(self, natural: Any) -> Any:
        """Returns the epoch and the batch to go on from; the Trainer computes its own from the step alone."""
        saved, trainer = self._restored, self._trainer
        if saved is None:
            return natural
        is_same = saved["shape"] == self._shape()
        if self._is_over or trainer.state.global_step >= trainer.state.max_steps or (saved["over"] and is_same):
            # It would train one step more before it looks.
            self._is_over = True
            return math.ceil(trainer.args.num_train_epochs) + trainer.state.max_steps, 0
        if trainer.args.ignore_data_skip or not is_same:
            return natural
        return saved["data"]["epoch"], saved["data"]["batch"]

    def _shape(self) -> List[int]:
        """Lists the settings that the counts of batches and steps depend on."""
        args = self._trainer.args
        return [self._trainer._train_batch_size, args.gradient_accumulation_steps, args.world_size, self._trainer.state.max_steps]

    # ---- what the Trainer calls ----

    def begin(self, state: Any) -> None:
        trainer = self._trainer
        if self._expected is not None and state.global_step != self._expected:
            # Accelerate logs a restore that failed, and trains on from scratch.
            raise ResumeError(f"The trainer stands at step {state.global_step} and not at {self._expected}, where the checkpoint is. Nothing was trained.")
        kept = [trainer.model, trainer.model_wrapped, trainer.optimizer, trainer.lr_scheduler, trainer, trainer.args, trainer.accelerator, state, trainer.control]
        kept += [self._data, trainer.train_dataset, trainer.eval_dataset, trainer.processing_class, trainer.callback_handler]
        self._beside = {"trainer": Beside(trainer, kept, OF_TRAINER)}
        for name, callback in callbacks_with_state(trainer):
            self._beside[name] = Beside(callback, kept, ignored_of(callback))
        for name, module in modules_with_state(self._model()):
            self._beside[name] = Beside(module, [*kept, *self._model().modules()], OF_MODULE)
        self._hidden = HiddenState(lambda: parts_of(trainer, self._model(), [*kept, *self._data.generators]))
        self._epoch = int(state.epoch or 0)
        saved = self._pending = self._restored
        self._evaluates_on_start = getattr(trainer.args, "eval_on_start", False)
        if saved is not None:
            # It has evaluated before the first step.
            object.__setattr__(trainer.args, "eval_on_start", False)
            self._epoch = saved["data"]["epoch"]
            self._data.restore(saved["data"])
            self._put_weights_back(saved["weights"])
            self._put_loss_back(saved["loss"])
        per_epoch = round(state.max_steps / state.num_train_epochs) if state.num_train_epochs else None
        self._of_fit.begin(state.global_step, int(state.epoch or 0), state.max_steps or None, per_epoch, params_of(trainer), monitor_of(trainer.args))
        if saved is not None:
            self._recorder.apply_params({"optimizer": trainer.optimizer}, {"scheduler": trainer.lr_scheduler} if trainer.lr_scheduler else {})

    def epoch_begins(self) -> None:
        self._data.epoch_begins(self._epoch)
        object.__setattr__(self._trainer.args, "eval_on_start", self._evaluates_on_start)
        self.in_epoch = True
        saved = self._pending
        if saved is not None and saved["data"]["batch"] == 0:
            self._put_rng_back()
            self.put_back()
        elif saved is not None:
            self._data.batch = saved["data"]["batch"]

    def put_back(self) -> None:
        """Puts back what callbacks and the trainer had counted. Those that begin anew with an epoch have done so."""
        saved, self._pending = self._pending, None
        if saved is None:
            return
        now = {"trainer": self._trainer, **dict(callbacks_with_state(self._trainer)), **dict(modules_with_state(self._model()))}
        for name, state in saved["beside"].items():
            if name not in now:
                self._of_fit.lose("callback", name, "it had a state when the checkpoint was taken, and is not there now")
                continue
            for part, why in put_into(now[name], state):
                self._of_fit.lose("callback", f"{name}.{part}", why)

    def step_ends(self) -> None:
        self._data.batch += self._trainer.args.gradient_accumulation_steps

    def log(self, state: Any, logs: Mapping[str, Any]) -> None:
        metrics = {name: value for name, value in logs.items() if not name.endswith(_RUN_TIMES) and name not in ("epoch", "step")}
        if self._fit is not None and not self._is_over:  # A script may evaluate before it trains.
            self._fit.log(state.global_step, int(state.epoch or 0), metrics, validated=any(name.startswith("eval_") for name in metrics))

    def end(self) -> None:
        """Ends the fit. One that was loaded as it was at its end leaves random numbers and counts as they were then."""
        if self._is_over:
            self._put_rng_back()
            self.put_back()

    def _put_rng_back(self) -> None:
        states = self._restored["rng"] if self._restored else []
        rank = int(self._trainer.args.process_index)
        if len(states) != self._trainer.args.world_size:
            self._of_fit.lose("random", "random numbers", f"the checkpoint has those of {len(states)} processes")
            return
        for name, why in rng.restore(states[rank]):
            self._of_fit.lose("random", f"random numbers of {name}", why)

    def _put_weights_back(self, saved: Mapping[str, Any]) -> None:
        missing = trainer_files.put_back_left_out(self._model(), saved)
        if missing:
            raise ResumeError(f"The model has no {missing[0]} of the same shape any more, which the checkpoint holds. Nothing was trained.")

    def _put_loss_back(self, saved: Optional[Mapping[str, Any]]) -> None:
        """Lets the loss that is logged next be the mean over all of its steps, and the last one that over all steps."""
        trainer = self._trainer
        if saved is None or not hasattr(trainer, "_tr_loss"):
            return
        trainer._tr_loss = saved["running"].to(trainer.args.device)
        trainer._total_loss_scalar, trainer._globalstep_last_logged = saved["total"], saved["logged at"]

    def _losses(self) -> Optional[Dict[str, Any]]:
        trainer = self._trainer
        if not hasattr(trainer, "_tr_loss"):
            return None
        first = self._first_step()
        return {"running": trainer._tr_loss, "total": trainer._total_loss_scalar, "logged at": trainer._globalstep_last_logged, "first": first}

    def _first_step(self) -> int:
        """Returns the step at which the losses begin that are summed up."""
        saved = self._restored["loss"] if self._restored else None
        return int(saved["first"] if saved else getattr(self._trainer, "_initial_global_step", 0))

    def _whole_loss(self) -> Optional[float]:
        """Computes the mean loss of all steps; the Trainer divides by those of this process. None: it is the same, or cannot be known."""
        if self._restored is None or not self._restored["loss"]:
            return None
        trainer = self._trainer
        steps = int(trainer.state.global_step) - self._first_step()
        return float(trainer._total_loss_scalar) / max(steps, 0.001)

    def _correct(self, logs: Dict[str, Any]) -> None:
        loss = self._whole_loss() if "train_loss" in logs and "train_runtime" in logs else None
        if loss is not None:
            logs["train_loss"] = loss

    def _model(self) -> Any:
        return self._trainer.accelerator.unwrap_model(self._trainer.model)

    # ---- checkpoints ----

    def _boundary(self) -> None:
        """Handles a boundary: nothing of a step is left to do, or, called once more after an epoch's last one, of the epoch."""
        state, control, fit = self._trainer.state, self._trainer.control, self._of_fit
        is_last = control.should_epoch_stop or control.should_training_stop or _is_whole(state.epoch)
        if self.in_epoch and is_last:
            self._left_early = not _is_whole(state.epoch)
            return  # The end of the epoch comes next.
        step, saved_itself = state.global_step, self._saved_itself
        self._saved_itself = False
        # A training whose epochs are left early ends with its last one, and nobody asks it to stop.
        is_over = not self.in_epoch and (control.should_training_stop or self._epoch + 1 >= state.num_train_epochs)
        if not self.in_epoch and not (control.should_training_stop and self._left_early):
            self._epoch += 1
            self._data.epoch, self._data.batch = self._epoch, 0
        if is_over:
            due = fit.finish(step, self._epoch)
        else:
            due = fit.due(step) if self.in_epoch else fit.due_at_epoch(step, self._epoch)
        if saved_itself and not due and not fit.is_replay:
            due = Due(True, False, ["file"])
        if due.saves:
            self._take(due, is_over)
        if due.leaves:
            fit.leave(step)

    def _take(self, due: Due, is_over: bool) -> None:
        """Takes a checkpoint. Every rank comes here: a sharded model is written by all."""
        fit, state = self._of_fit, self._trainer.state
        found = Ingredients()
        folder = self._written(found, is_over)
        if folder is None:
            return
        place = Place(state.global_step, self._data.epoch, self._data.batch)
        fit.save_files(place, due, found, lambda target: trainer_files.move(folder, target), trainer_files.sum_of)
        shutil.rmtree(folder, ignore_errors=True)

    def _written(self, found: Ingredients, is_over: bool) -> Optional[str]:
        """Lets all ranks write into one folder; None, with a notice, where that fails."""
        group, session = self._recorder.group, self._recorder.session
        target = group.share(os.path.join(session.path, "saving") if session is not None else None)
        if target is None:
            return None
        problem: Optional[str] = None
        try:
            shutil.rmtree(target, ignore_errors=True)
            folder = trainer_files.write(self._trainer, target, self._trial)
        except Exception as error:
            problem, folder = f"{type(error).__name__}: {error}", ""
        states = group.gather((problem, rng.capture()))
        if session is None:
            return None
        try:
            failed = next((one for one, _ in states if one is not None), None)
            if failed is not None:
                raise RuntimeError(failed)
            self._complete(folder, target, found, [one for _, one in states], is_over)
            return str(target)
        except Exception as error:
            self._of_fit.fail(self._trainer.state.global_step, error)
            shutil.rmtree(target, ignore_errors=True)
            return None

    def _complete(self, folder: str, target: str, found: Ingredients, rngs: List[Any], is_over: bool) -> None:
        """Adds what the Trainer leaves out, and finds out what there is."""
        trainer = self._trainer
        beside: Dict[str, Any] = {}
        known: List[str] = []
        for name, one in self._beside.items():
            beside[name], refused = one.state()
            for part, why in refused:
                found.lost("callback", f"{name}.{part}", why)
            known += [f"{name}.{part}" for part in [*beside[name], *(part for part, _ in refused)]]
        own = {
            "format": 1,
            "data": self._data.state(),
            "shape": self._shape(),
            "over": is_over,
            "rng": rngs,
            "weights": trainer_files.left_out(folder, self._model()),
            "loss": self._losses(),
            "beside": {name: state for name, state in beside.items() if state},
        }
        for place, why in trainer_files.write_own(folder, own):
            found.lost("callback" if place.startswith("beside") else "other", place, why)
        best_model.keep(trainer.state, target, folder)
        trainer_files.find(folder, trainer, found)
        self._data.find(found)
        if trainer.args.ignore_data_skip:
            found.lost("data", "the place in the data", "ignore_data_skip begins the epoch's data again")
        found.kept("random", "random numbers")
        found.kept("loop", "the trainer’s counts")
        found.absent("gradients", "gradients")
        if self._hidden is not None:
            self._hidden.note(found, known)
        if self._beside:
            found.kept("callback", "callbacks")


def _is_whole(epoch: Any) -> bool:
    return epoch is not None and float(epoch).is_integer()
