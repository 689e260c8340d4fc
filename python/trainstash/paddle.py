"""PaddlePaddle's high-level API. Its own `.pdparams` and `.pdopt` hold weights and optimizer; random numbers are kept beside
them. `Model.fit` begins its epochs anew, so that only checkpoints of epoch ends are complete."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from . import ResumeError
from .one_fit import Recorder, python_rng, set_python_rng
from .wishes import Wishes

_STEM = "model"
_REST = "state.json"


def make_callback(wishes: Wishes, tracked: Mapping[str, Any]) -> Any:
    import paddle

    class TrainstashCallback(paddle.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._recorder = Recorder("paddle", {})
            # Paddle has no way to read its generators' state on every device.
            self._recorder.missing.append("Paddle's own random numbers")
            self._step = 0
            self._epoch = 0
            self._before = 0

        def on_train_begin(self, logs: Any = None) -> None:
            if self._recorder.resume:
                self._restore(self._recorder.resume)
            params = self.params or {}
            steps, epochs = params.get("steps"), params.get("epochs")
            self._recorder.started(self._step, self._epoch, steps * epochs if steps and epochs else None, steps)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = self._before + epoch

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            self._step += 1
            recorder = self._recorder
            recorder.log(self._step, self._epoch, _numbers(logs))
            reasons = recorder.due(self._step)
            if reasons:
                recorder.hand_over(self._step, self._epoch, step + 1, reasons, self._write, exact=False)
            if recorder.leaving:
                recorder.leave(self._step)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self._epoch = self._before + epoch + 1
            reasons = self._recorder.due_at_epoch(self._epoch)
            if reasons:
                self._recorder.hand_over(self._step, self._epoch, 0, reasons, self._write)

        def on_train_end(self, logs: Any = None) -> None:
            self._recorder.hand_over(self._step, self._epoch, 0, ["end"], self._write)

        def _write(self, folder: str) -> None:
            self.model.save(os.path.join(folder, _STEM))
            with open(os.path.join(folder, _REST), "w", encoding="utf-8") as file:
                json.dump({"step": self._step, "epoch": self._epoch, "rng": python_rng()}, file)

        def _restore(self, folder: str) -> None:
            try:
                self.model.load(os.path.join(folder, _STEM))
            except Exception as error:
                raise ResumeError(f"The model cannot load the checkpoint: {error}") from error
            with open(os.path.join(folder, _REST), encoding="utf-8") as file:
                rest = json.load(file)
            set_python_rng(rest["rng"])
            self._step, self._epoch = rest["step"], rest["epoch"]
            self._before = rest["epoch"]

    return TrainstashCallback()


def _numbers(logs: Any) -> Mapping[str, Any]:
    """Paddle gives each metric as a list of one."""
    return {name: value[0] if isinstance(value, (list, tuple)) and value else value for name, value in (logs or {}).items()}
