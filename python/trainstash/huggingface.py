"""Transformers' Trainer. A checkpoint is a `checkpoint-N` folder that the Trainer writes for us where nothing of a step is left
to do: after its evaluation, and at an epoch's end after what is done there."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, Optional

from . import ResumeError, rng, trainer_files
from .beside import Beside
from .ingredients import Ingredients, described
from .numbers import is_better
from .recorder import Recorder
from .session import say
from .trainer_data import TrainingData

# Attributes of every Trainer that change while it trains, and that it sets itself or `_Training` puts back.
_OF_TRAINER = (
    "state", "control", "args", "accelerator", "callback_handler", "model", "model_wrapped", "deepspeed", "optimizer", "lr_scheduler", "train_dataset",
    "eval_dataset", "data_collator", "processing_class", "is_in_train", "current_flos", "current_gradient_accumulation_steps",
    "_tr_loss", "_total_loss_scalar", "_globalstep_last_logged", "_initial_global_step", "_initial_num_input_tokens_seen", "_train_batch_size",
    "_created_lr_scheduler", "_memory_tracker", "_past", "_loggers_initialized", "_eval_dataloaders", "_signature_columns",
)  # fmt: skip
# Callbacks that show, or that set themselves up anew.
_SHOW_MODULES = ("transformers.integrations", "transformers.utils.notebook", "trainstash")
_SHOW_CLASSES = ("ProgressCallback", "PrinterCallback", "DefaultFlowCallback", "NotebookProgressCallback", "RichProgressCallback")


def attach_transformers(trainer: Any) -> Any:
    from transformers import TrainerCallback

    training = _Training(trainer, Recorder("transformers", _params(trainer)))

    class TrainstashCallback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.begin(state)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.epoch_begins()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.put_back()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.step_ends(state)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.in_epoch = False

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            training.recorder.log(state.global_step, int(state.epoch or 0), _metrics(logs or {}))

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
            training.evaluated = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.saved_itself = True

    # The first of all: it puts back what the others are to find.
    trainer.callback_handler.callbacks.insert(0, TrainstashCallback())
    training.take_over()
    return trainer


class _Training:
    """What passes between the Trainer's callbacks, its loader, and its checkpoints."""

    def __init__(self, trainer: Any, recorder: Recorder) -> None:
        self.recorder = recorder
        self._trainer = trainer
        self._data = TrainingData(int(getattr(trainer.args, "seed", 0)), recorder.group.rank)
        #: Between the first step of an epoch and the end of its last one.
        self.in_epoch = False
        #: Since the last boundary.
        self.evaluated = self.saved_itself = False
        self._epoch = 0
        self._beside: Dict[str, Beside] = {}
        # Of the checkpoint that is resumed; `_pending`: its parts that are put back when the first step, or epoch, begins.
        self._restored: Optional[Dict[str, Any]] = None
        self._pending: Optional[Dict[str, Any]] = None
        self._expected: Optional[int] = None
        self._left_early = False
        self._best: Optional[float] = None
        self._found = Ingredients()

    # ---- instead of the Trainer's own ----

    def take_over(self) -> None:
        """Puts ours around methods of this one Trainer."""
        trainer = self._trainer
        train, loader, after_step, load_rng = trainer.train, trainer.get_train_dataloader, trainer._maybe_log_save_evaluate, trainer._load_rng_state

        def train_resumed(resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
            return train(self._resumed_from(resume_from_checkpoint), *args, **kwargs)

        def seeded_loader() -> Any:
            return self._data.seeded(loader())

        def after_step_and_boundary(*args: Any, **kwargs: Any) -> None:
            after_step(*args, **kwargs)
            self._boundary()

        def rng_loaded(checkpoint: Any) -> None:
            # At an epoch's beginning, `epoch_begins` has done it before the callbacks that draw.
            if self._restored is None or self._restored["data"]["batch"] > 0:
                load_rng(checkpoint)
                self._put_rng_back()

        trainer.train, trainer.get_train_dataloader = train_resumed, seeded_loader
        trainer._maybe_log_save_evaluate, trainer._load_rng_state = after_step_and_boundary, rng_loaded
        if hasattr(trainer, "_init_training_state"):
            place = trainer._init_training_state

            def exact_place(*args: Any, **kwargs: Any) -> Any:
                return self._place(place(*args, **kwargs))

            trainer._init_training_state = exact_place

    def _resumed_from(self, wanted: Any) -> Any:
        restored = self.recorder.resume
        if restored is None:
            return wanted
        folder = trainer_files.folder_in(restored)
        self._expected = trainer_files.step_of(folder)
        self._restored = trainer_files.read_own(folder)
        said = trainer_files.put_best_back(self._trainer.args, restored, folder)
        if wanted not in (None, True, False):
            say(f"the training goes on from step {self._expected}, and not from {wanted}, which the script asks for")
        if said:
            say(said)
        return folder

    def _place(self, natural: Any) -> Any:
        """Epoch and batch to go on from; the Trainer's own are computed from the step alone."""
        saved, trainer = self._restored, self._trainer
        if saved is None:
            return natural
        if trainer.state.global_step >= trainer.state.max_steps or (saved["over"] and saved["shape"] == self._shape()):
            # It would train one step more before it looks.
            return trainer.state.num_train_epochs, 0
        if trainer.args.ignore_data_skip or saved["shape"] != self._shape():
            return natural
        return saved["data"]["epoch"], saved["data"]["batch"]

    def _shape(self) -> List[int]:
        """What the count of batches depends on."""
        args = self._trainer.args
        return [self._trainer._train_batch_size, args.gradient_accumulation_steps, args.world_size, self._trainer.state.max_steps]

    # ---- what the Trainer calls ----

    def begin(self, state: Any) -> None:
        trainer, recorder = self._trainer, self.recorder
        if self._expected is not None and state.global_step != self._expected:
            # Accelerate logs a restore that failed, and trains on from scratch.
            raise ResumeError(f"The trainer stands at step {state.global_step} and not at {self._expected}, where the checkpoint is. Nothing was trained.")
        kept = [trainer.model, trainer.model_wrapped, trainer.optimizer, trainer.lr_scheduler, trainer, trainer.args, trainer.accelerator, state, trainer.control]
        self._beside = {"trainer": Beside(trainer, kept, _OF_TRAINER)}
        for name, callback in _callbacks(trainer):
            self._beside[name] = Beside(callback, kept, _ignored(callback))
        if self._restored:
            self._data.restore(self._restored["data"])
            self._epoch = self._restored["data"]["epoch"]
            missing = trainer_files.put_back_left_out(trainer.accelerator.unwrap_model(trainer.model), self._restored["weights"])
            if missing:
                raise ResumeError(f"The model has no {missing[0]} any more, which the checkpoint holds. Nothing was trained.")
            self._put_loss_back(self._restored)
            self._pending = self._restored
        else:
            self._epoch = int(state.epoch or 0)
        per_epoch = round(state.max_steps / state.num_train_epochs) if state.num_train_epochs else None
        recorder.started(state.global_step, int(state.epoch or 0), state.max_steps or None, per_epoch)

    def epoch_begins(self) -> None:
        self._data.epoch_begins(self._epoch)
        pending = self._pending
        if pending is not None and pending["data"]["batch"] == 0:
            self._put_rng_back()
            self.put_back()
        elif pending is not None:
            self._data.batch = pending["data"]["batch"]
        self.in_epoch = True

    def put_back(self) -> None:
        """Puts back what callbacks and the trainer had counted. Those that begin anew with an epoch have done so."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        now = dict(_callbacks(self._trainer))
        for name, saved in pending["beside"].items():
            beside = self._beside.get(name)
            if beside is None or (name != "trainer" and now.get(name) is not beside.owner):
                owner = now.get(name)
                beside = Beside(owner, ()) if owner is not None else None
            refused = beside.load(saved) if beside else [("", "there is none now")]
            for part, why in refused:
                self._found.lost("callback", f"{name}.{part}".rstrip("."), why)

    def step_ends(self, state: Any) -> None:
        self._data.batch += self._trainer.args.gradient_accumulation_steps

    def _put_rng_back(self) -> None:
        states = self._restored["rng"] if self._restored else []
        rank = self.recorder.group.rank
        if len(states) == self.recorder.group.world:
            for name, why in rng.restore(states[rank]):
                self._found.lost("random", f"random numbers of {name}", why)

    def _put_loss_back(self, saved: Mapping[str, Any]) -> None:
        """Lets the loss that is logged next be the mean over all of its steps."""
        trainer = self._trainer
        if saved["loss"] is None or not hasattr(trainer, "_tr_loss"):
            return
        trainer._tr_loss = saved["loss"].to(trainer.args.device)
        trainer._globalstep_last_logged = saved["logged at"]
        # `train_loss` stays what the Trainer means by it: that of the steps of this process.
        trainer._total_loss_scalar = -float(trainer._tr_loss)

    # ---- checkpoints ----

    def _boundary(self) -> None:
        """Nothing of a step is left to do, or, called once more after an epoch's last one, of the epoch."""
        state, control, recorder = self._trainer.state, self._trainer.control, self.recorder
        leaves_epoch = control.should_epoch_stop or control.should_training_stop
        if self.in_epoch and (leaves_epoch or _is_whole(state.epoch)):
            self._left_early = not _is_whole(state.epoch)
            return  # The end of the epoch comes next.
        reasons = list(recorder.due(state.global_step))
        if not self.in_epoch:
            reasons += recorder.due_at_epoch(round(state.epoch or 0))
            if not (control.should_training_stop and self._left_early):
                self._epoch += 1
                self._data.epoch, self._data.batch = self._epoch, 0
            if control.should_training_stop:
                reasons.append("end")
        elif self.evaluated:
            reasons += self._is_best()
        if self.saved_itself:
            reasons.append("file")
        self.evaluated = self.saved_itself = False
        reasons = recorder.group.share(list(dict.fromkeys(reasons)))
        if not reasons:
            return
        self._take(reasons)
        if "pause" in reasons or "stop" in reasons:
            recorder.leave(state.global_step)

    def _is_best(self) -> List[str]:
        monitor = self.recorder.launch.get("monitor")
        value = self.recorder.metrics.get(monitor["metric"]) if monitor else None
        if monitor is None or value is None or not is_better(monitor, value, self._best):
            return []
        self._best = value
        return ["best"]

    def _take(self, reasons: List[str]) -> None:
        raise NotImplementedError


def _is_whole(epoch: Any) -> bool:
    return epoch is not None and float(epoch).is_integer()


def _callbacks(trainer: Any) -> List[Any]:
    """The callbacks that may have a state, by a name that is the same in the next process."""
    found: List[Any] = []
    for callback in trainer.callback_handler.callbacks:
        kind = type(callback)
        if kind.__name__ in _SHOW_CLASSES or kind.__module__.startswith(_SHOW_MODULES):
            continue
        same = sum(1 for name, _ in found if name.partition("#")[0] == kind.__qualname__)
        found.append((f"{kind.__qualname__}#{same}", callback))
    return found


def _ignored(callback: Any) -> List[str]:
    """Private attributes of a class that talks to a tracker: it sets them up itself."""
    if any(cls.__module__.startswith(_SHOW_MODULES) for cls in type(callback).__mro__):
        return [name for name in vars(callback) if name.startswith("_")]
    return []


def _metrics(logs: Mapping[str, Any]) -> Dict[str, Any]:
    """Metrics without how long things took, and what is no measure at all."""
    return {name: value for name, value in logs.items() if not name.endswith(("_runtime", "_per_second", "_flos")) and name not in ("epoch", "step")}


def _params(trainer: Any) -> Any:
    arguments = getattr(trainer, "args", None)
    if arguments is None or not hasattr(arguments, "to_json_string"):
        return {}
    values = json.loads(arguments.to_json_string())
    wanted = ("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "weight_decay", "warmup_steps", "seed")
    return {name: values[name] for name in wanted if name in values}
