"""Keras. A checkpoint holds every variable of the model and of its optimizer, and Python's and NumPy's random numbers.
Keras goes on from the beginning of an epoch, so that only checkpoints of epoch ends are complete."""

from __future__ import annotations

import json
import os
from typing import Any, List, Mapping

from . import ResumeError
from .one_fit import Recorder, python_rng, set_python_rng
from .wishes import Wishes

_ARRAYS = "state.npz"
_REST = "state.json"


def make_callback(wishes: Wishes, tracked: Mapping[str, Any]) -> Any:
    import keras

    class TrainstashCallback(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._recorder = Recorder("keras", {})
            self._step = 0
            self._epoch = 0

        def on_train_begin(self, logs: Any = None) -> None:
            recorder = self._recorder
            if recorder.resume:
                self._restore(recorder.resume)
            steps = (self.params or {}).get("steps")
            epochs = (self.params or {}).get("epochs")
            recorder.started(self._step, self._epoch, steps * epochs if steps and epochs else None, steps)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._step += 1
            recorder = self._recorder
            recorder.log(self._step, self._epoch, logs or {})
            reasons = recorder.due(self._step)
            if reasons:
                recorder.hand_over(self._step, self._epoch, batch + 1, reasons, self._write, exact=False)
            if recorder.leaving:
                recorder.leave(self._step)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            recorder = self._recorder
            recorder.log(self._step, epoch, {name: value for name, value in (logs or {}).items() if name.startswith("val_")})
            self._epoch = epoch + 1
            reasons = recorder.due_at_epoch(epoch + 1) or recorder.due(self._step)
            if reasons:
                recorder.hand_over(self._step, self._epoch, 0, reasons, self._write)
            if recorder.leaving:
                recorder.leave(self._step)

        def on_train_end(self, logs: Any = None) -> None:
            self._recorder.hand_over(self._step, self._epoch, 0, ["end"], self._write)

        def _write(self, folder: str) -> None:
            import numpy

            arrays = {f"model/{i:05d}": numpy.asarray(v) for i, v in enumerate(_values(self.model.variables))}
            arrays.update(
                {f"optimizer/{i:05d}": numpy.asarray(v) for i, v in enumerate(_values(_variables(self.model.optimizer)))}
            )
            numpy.savez(os.path.join(folder, _ARRAYS), **arrays)
            rest = {"step": self._step, "epoch": self._epoch, "rng": python_rng()}
            with open(os.path.join(folder, _REST), "w", encoding="utf-8") as file:
                json.dump(rest, file)

        def _restore(self, folder: str) -> None:
            import numpy

            with open(os.path.join(folder, _REST), encoding="utf-8") as file:
                rest = json.load(file)
            optimizer = self.model.optimizer
            if hasattr(optimizer, "build") and not getattr(optimizer, "built", False):
                optimizer.build(self.model.trainable_variables)
            with numpy.load(os.path.join(folder, _ARRAYS), allow_pickle=False) as arrays:
                pairs = [
                    *_matched(arrays, "model", self.model.variables),
                    *_matched(arrays, "optimizer", _variables(optimizer)),
                ]
            for variable, value in pairs:
                variable.assign(value)
            set_python_rng(rest["rng"])
            self._step, self._epoch = rest["step"], rest["epoch"]
            # What Keras' own BackupAndRestore sets.
            self.model._initial_epoch = rest["epoch"]

    return TrainstashCallback()


def _values(variables: Any) -> List[Any]:
    return [variable.numpy() for variable in variables]


def _variables(optimizer: Any) -> List[Any]:
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def _matched(arrays: Any, kind: str, variables: List[Any]) -> List[Any]:
    names = sorted(name for name in arrays.files if name.startswith(f"{kind}/"))
    shapes = [tuple(arrays[name].shape) for name in names]
    own = [tuple(variable.shape) for variable in variables]
    if shapes != own:
        raise ResumeError(f"The checkpoint's {kind} has variables of {shapes}, this one of {own}. Nothing was loaded.")
    return list(zip(variables, (arrays[name] for name in names)))
