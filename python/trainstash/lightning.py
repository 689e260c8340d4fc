"""Lightning. Its own checkpoint holds weights, optimizers, schedules, loops and callbacks, but no random numbers and no
place in the data: those are added. It is handed to us instead of being written, and goes through the same copy and writer
as everything else; the file is one that Lightning and plain torch can load."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from . import ResumeError, ptread, rng
from .checkpoints import Checkpoints
from .data import Batches
from .numbers import plain_metrics
from .one_fit import Recorder
from .session import STATE_FILE
from .wishes import Wishes

# A path that is none: what is saved there comes to us.
_OURS = "trainstash://checkpoint"


def attach_lightning(trainer: Any, wishes: Wishes) -> Any:
    module = __import__(type(trainer).__mro__[-2].__module__.partition(".")[0])
    callbacks = module.pytorch.callbacks if hasattr(module, "pytorch") else module.callbacks
    recorder = Recorder("lightning", {})
    state = _State(recorder)

    class TrainstashCallback(callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            # Or a later `trainer.test()` would load it.
            trainer.ckpt_path = None
            if recorder.resume and not state.loaded:
                raise ResumeError("Lightning did not load the checkpoint. Nothing was trained.")
            # After the iterators were made, before the first batch is fetched.
            state.restore_rng()
            total = trainer.estimated_stepping_batches
            per_epoch = trainer.num_training_batches
            recorder.started(
                trainer.global_step,
                trainer.current_epoch,
                int(total) if total not in (-1, float("inf")) else None,
                int(per_epoch) if per_epoch != float("inf") else None,
            )

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            step = trainer.global_step
            if step == state.step:
                return  # Gradients are being accumulated: no boundary.
            state.step = step
            recorder.log(step, trainer.current_epoch, trainer.callback_metrics)
            reasons = recorder.group.share(recorder.due(step))
            if reasons:
                self._save(trainer, reasons, batch_idx + 1)
            if "pause" in reasons or "stop" in reasons:
                state.join()
                recorder.leave(step)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                recorder.log(trainer.global_step, trainer.current_epoch, trainer.callback_metrics)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            reasons = recorder.group.share(recorder.due_at_epoch(trainer.current_epoch + 1))
            if reasons:
                self._save(trainer, reasons, 0)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self._save(trainer, ["end"], 0)
            state.join()

        def _save(self, trainer: Any, reasons: Any, batch: int) -> None:
            state.facts = {
                "step": trainer.global_step,
                "epoch": trainer.current_epoch,
                "batch": batch,
                "reasons": list(reasons),
            }
            # Every rank comes here: a strategy may have to gather.
            trainer.save_checkpoint(_OURS)

    trainer.callbacks.append(TrainstashCallback())
    io = trainer.strategy.checkpoint_io
    trainer.strategy.checkpoint_io = _checkpoint_io(io, state)
    if recorder.resume:
        trainer.ckpt_path = os.path.join(recorder.resume, STATE_FILE)
    state.several = getattr(trainer, "world_size", 1) > 1
    fit = trainer.fit

    def fit_resumable(model: Any, train_dataloaders: Any = None, *args: Any, **kwargs: Any) -> Any:
        if train_dataloaders is not None and not hasattr(train_dataloaders, "train_dataloader"):
            train_dataloaders = state.resumable(train_dataloaders)
        else:
            source = train_dataloaders or kwargs.get("datamodule") or model
            make = source.train_dataloader
            source.train_dataloader = lambda: state.resumable(make())
        if recorder.resume and kwargs.get("ckpt_path") is None:
            kwargs["ckpt_path"] = os.path.join(recorder.resume, STATE_FILE)
        return fit(model, train_dataloaders, *args, **kwargs)

    trainer.fit = fit_resumable
    return trainer


class _State:
    """What passes between the callback, the writing of a checkpoint and the loader."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.facts: Dict[str, Any] = {}
        self.step = -1
        self.loaded = False
        self._own: Optional[Dict[str, Any]] = None
        self._loader: Optional[Batches] = None
        self._checkpoints: Optional[Checkpoints] = None
        # What a loader asks of a run.
        self.seed = int(recorder.launch.get("seed") or 0)
        self.rank, self.world = recorder.group.rank, recorder.group.world
        self.epoch = 0
        self.several = False

    def save(self, checkpoint: Dict[str, Any]) -> None:
        states = self._recorder.group.gather(rng.capture())
        session = self._recorder.session
        if session is None:
            return
        if self._checkpoints is None:
            resume = session.launch.get("resume")
            self._checkpoints = Checkpoints(session, self._recorder.environment, resume["checkpoint"] if resume else None)
        place = self._loader.state(self.facts["batch"] > 0) if self._loader else None
        missing = list(self._recorder.missing) + ([] if place else ["the place in the data (its loader is not one of torch)"])
        state = {**checkpoint, "trainstash": {"format": 1, "rng": states, "loader": place, "seed": self.seed}}
        step = int(self.facts["step"])
        facts: Dict[str, Any] = {
            **self.facts,
            "grade": "partial" if missing else "complete",
            "missing": missing,
            "metrics": plain_metrics(self._recorder.metrics),
            "data": None,
        }
        staged = self._checkpoints.copy(state)
        # Callbacks and hyper-parameters may be objects of classes: Lightning makes those anew.
        staged.lost = [one for one in staged.lost if one[0].startswith(("state_dict", "optimizer_states"))]
        self._checkpoints.save(staged, facts, wait=self._recorder.leaving)
        self._recorder.policy.taken(step, 0)
        if self._recorder.asked and not self._recorder.leaving:
            session.answer(self._recorder.asked, step)
            self._recorder.asked = None

    def load(self, path: str) -> Dict[str, Any]:
        saved: Dict[str, Any] = ptread.read(path)
        self._own = saved.pop("trainstash", None)
        self.loaded = True
        if self._own:
            self.seed = int(self._own["seed"])
        if self._own and self._own["loader"] and self._loader:
            self._loader.place.seed = self.seed
            self._loader.restore(self._own["loader"], active=True)
        return saved

    def restore_rng(self) -> None:
        states = self._own["rng"] if self._own else []
        if self.rank < len(states) and len(states) == self.world:
            self._recorder.missing += [f"random numbers of {name} ({why})" for name, why in rng.restore(states[self.rank])]

    def join(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.join()

    def resumable(self, loader: Any) -> Any:
        """The same loader, from where the checkpoint stands. Others than torch's are left alone."""
        if self.several:
            # Lightning gives each process its own part only of loaders that it can make anew.
            self._recorder.missing.append("the place in the data (several processes)")
            return loader
        made = Batches(self, loader, "0")
        if not made.is_seeded:
            return loader
        self._loader = made
        if self._own and self._own["loader"]:
            made.restore(self._own["loader"], active=True)
        return made

    # ---- what a loader asks of a run ----

    def is_mine(self) -> bool:
        return True

    def entered(self, _: Batches) -> None:
        pass

    def received(self, _: Batches, batch: Any) -> None:
        pass

    def asked(self, _: Batches) -> None:
        pass

    def left(self, _: Batches) -> None:
        pass

    def at_place(self) -> None:
        pass


def _checkpoint_io(inner: Any, state: _State) -> Any:
    """Passes on what is not ours: the user's own ModelCheckpoint goes where it went."""

    class TrainstashCheckpointIO(type(inner)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.__dict__.update(inner.__dict__)

        def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
            if str(path) == _OURS:
                state.save(checkpoint)
            else:
                inner.save_checkpoint(checkpoint, path, storage_options=storage_options)

        def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> Any:
            if os.path.basename(str(path)) == STATE_FILE:
                return state.load(str(path))
            return inner.load_checkpoint(path, *args, **kwargs)

        def remove_checkpoint(self, path: Any) -> None:
            inner.remove_checkpoint(path)

    return TrainstashCheckpointIO()
