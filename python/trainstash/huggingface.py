"""Transformers' Trainer. Its own `checkpoint-N` folders hold weights, optimizer, schedule, scaler, random numbers and
counters, and it skips the batches that were seen: that is a complete state for data sets that are read by index."""

from __future__ import annotations

import json
import os
from typing import Any, Optional

from . import ResumeError
from .one_fit import Recorder, link_tree
from .wishes import Wishes


def attach_transformers(trainer: Any, wishes: Wishes) -> Any:
    from transformers import TrainerCallback

    recorder = Recorder("transformers", _params(trainer))
    if not hasattr(getattr(trainer, "train_dataset", None), "__getitem__"):
        recorder.missing.append("the place in the data (it is read as a stream)")

    class TrainstashCallback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if recorder.resume and state.global_step == 0:
                # Accelerate logs a restore that failed, and trains on from scratch.
                raise ResumeError("The trainer did not load the checkpoint: it stands at step 0. Nothing was trained.")
            per_epoch = round(state.max_steps / state.num_train_epochs) if state.num_train_epochs else None
            recorder.started(state.global_step, int(state.epoch or 0), state.max_steps or None, per_epoch)
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> Any:
            recorder.log(state.global_step, int(state.epoch or 0), logs or {})
            return control

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            self._decide(state, control, recorder.due(state.global_step))
            return control

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> Any:
            self._decide(state, control, recorder.due_at_epoch(round(state.epoch or 0)))
            return control

        _reasons: Any = ()

        def _decide(self, state: Any, control: Any, reasons: Any) -> None:
            reasons = recorder.group.share(list(reasons))
            if not reasons:
                return
            self._reasons = reasons
            control.should_save = True
            if "pause" in reasons or "stop" in reasons:
                control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            folder = f"checkpoint-{state.global_step}"
            source = os.path.join(args.output_dir, folder)
            reasons = list(self._reasons) or ["file"]
            self._reasons = ()
            # `save_total_limit` deletes it at the next save.
            recorder.hand_over(
                state.global_step,
                int(state.epoch or 0),
                0,
                reasons,
                lambda target: link_tree(source, os.path.join(target, folder)),
            )
            return control

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if recorder.leaving:
                recorder.leave(state.global_step)
            return control

    trainer.add_callback(TrainstashCallback())
    train = trainer.train

    def train_resumed(resume_from_checkpoint: Optional[Any] = None, *args: Any, **kwargs: Any) -> Any:
        if resume_from_checkpoint is None and recorder.resume:
            resume_from_checkpoint = _folder_in(recorder.resume)
        return train(resume_from_checkpoint, *args, **kwargs)

    trainer.train = train_resumed
    return trainer


def _folder_in(restored: str) -> str:
    for name in sorted(os.listdir(restored)):
        if name.startswith("checkpoint-") and os.path.isdir(os.path.join(restored, name)):
            return os.path.join(restored, name)
    raise ResumeError(f"{restored} holds no checkpoint of Transformers. Nothing was started.")


def _params(trainer: Any) -> Any:
    arguments = getattr(trainer, "args", None)
    if arguments is None or not hasattr(arguments, "to_json_string"):
        return {}
    values = json.loads(arguments.to_json_string())
    wanted = ("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "weight_decay", "warmup_steps", "seed")
    return {name: values[name] for name in wanted if name in values}
