"""The state that Lightning's own checkpoint leaves out: the sums of an epoch's metrics, the newest metrics, what the module,
its callbacks and the data module hold in their attributes, frozen parameters, and random numbers."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from . import rng
from .attributes import Attributes
from .hidden_fit import HiddenState, Parts
from .ingredients import Ingredients
from .kinds import NAMES
from .lightning_networks import Networks

# Lightning's own callbacks whose state is all in what they save, or that have none.
_KNOWN_CALLBACKS = frozenset(
    """BackboneFinetuning BaseFinetuning BatchSizeFinder Checkpoint DeviceStatsMonitor EarlyStopping EMAWeightAveraging
    GradientAccumulationScheduler LambdaCallback LearningRateFinder LearningRateMonitor ModelCheckpoint ModelSummary
    OnExceptionCheckpoint ProgressBar RichModelSummary RichProgressBar ThroughputMonitor Timer TQDMProgressBar
    WeightAveraging""".split()
)
_PACKAGES = ("lightning", "pytorch_lightning")


class Surroundings:
    """All of one fit that is in no ``state_dict``. Made when the first epoch is about to begin."""

    def __init__(self, trainer: Any, marker: Any) -> None:
        self._trainer = trainer
        self._marker = marker
        module = trainer.lightning_module
        owners: Dict[str, Any] = {}
        for name, part in module.named_modules():
            owners[f"module.{name}" if name else "module"] = part
        for i, callback in enumerate(trainer.callbacks):
            if callback is not marker and not _is_of_lightning(callback):
                owners[f"callback {i} {type(callback).__name__}"] = callback
        if getattr(trainer, "datamodule", None) is not None:
            owners["datamodule"] = trainer.datamodule
        self._networks = Networks(owners, module)
        owners.update(self._networks.parts())
        self._owners = owners
        self._framework_names = _names_of_framework(module, trainer.datamodule)
        self._attributes = Attributes(owners, self._is_left_out)
        self._hidden = HiddenState(self._parts)
        self._lost: List[Tuple[str, str, str]] = []
        # Networks of the checkpoint that is gone on from which could not be put back.
        self._gone: List[Tuple[str, str]] = []

    def state(self) -> Dict[str, Any]:
        """Collects it for a checkpoint."""
        trainer = self._trainer
        module = trainer.lightning_module
        values, self._lost = self._attributes.changed()
        connector = trainer._logger_connector
        manual = not module.automatic_optimization
        return {
            "rng": rng.capture(self._attributes.generators()),
            "attributes": values,
            "networks": self._networks.state(trainer.global_rank == 0),
            "buffers": {name: value for name, value in module.named_buffers() if _is_hidden(module, name)},
            "eval": sorted(name for name, part in module.named_modules() if not part.training),
            "frozen": sorted(name for name, value in module.named_parameters() if not value.requires_grad),
            "gradients": {name: value.grad for name, value in module.named_parameters() if manual and value.grad is not None},
            "metrics": {
                name: dict(getattr(connector, name)) for name in ("_callback_metrics", "_logged_metrics", "_progress_bar_metrics")
            },
            "accumulate": trainer.accumulate_grad_batches,
            "should_stop": bool(trainer.should_stop),
            "checkpoints": [_of_model_checkpoint(one) for one in _model_checkpoints(trainer)],
        }

    def put_back(self, saved: Mapping[str, Any], inside_epoch: bool, of_first: Mapping[str, Any]) -> List[Tuple[str, str]]:
        """Puts it back. ``of_first``: the networks that the first rank has kept for all.

        Returns:
            Random numbers that could not be: pairs of a library's name and the reason.
        """
        trainer = self._trainer
        module = trainer.lightning_module
        self._attributes.put_back(saved["attributes"], module.device)
        for name, why in self._networks.put_back({**of_first, **saved.get("networks", {})}):
            self._gone.append((name, why))
        buffers = dict(module.named_buffers())
        for name, value in saved["buffers"].items():
            if name in buffers and buffers[name].shape == value.shape:
                buffers[name].data.copy_(value)
        frozen = set(saved["frozen"])
        for name, value in module.named_parameters():
            value.requires_grad_(name not in frozen)
            if name in saved["gradients"]:
                value.grad = saved["gradients"][name].to(value.device)
        connector = trainer._logger_connector
        for name, values in saved["metrics"].items():
            getattr(connector, name).update(values)
        for one, known in zip(_model_checkpoints(trainer), saved["checkpoints"]):
            for name, value in known.items():
                setattr(one, name, value)
        trainer.should_stop = saved["should_stop"]
        if inside_epoch:
            asleep = set(saved["eval"])
            for name, part in module.named_modules():
                part.training = name not in asleep
            trainer.accumulate_grad_batches = saved["accumulate"]
        return rng.restore(saved["rng"], self._attributes.generators())

    def note(self, found: Ingredients, checkpoint: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Notes what was found out about each part of a checkpoint."""
        trainer = self._trainer
        found.kept("weights", "the model")
        _note_some(found, "optimizer", len(trainer.optimizers), len(checkpoint.get("optimizer_states", [])))
        _note_some(found, "schedule", len(trainer.lr_scheduler_configs), len(checkpoint.get("lr_schedulers", [])))
        self._note_precision(found, checkpoint)
        for name in rng.names_in(state["rng"]):
            found.kept("random", f"random numbers of {name}")
        found.kept("loop", "the loops and their metrics")
        if state["gradients"]:
            found.kept("gradients", NAMES["gradients"])
        else:
            found.absent("gradients", NAMES["gradients"])
        self._note_callbacks(found, checkpoint)
        for owner, name, why in self._lost:
            if not (owner.startswith("callback ") and self._saves_itself(owner)):
                found.lost("callback" if owner.startswith("callback ") else "loop", f"`{name}` of the {owner}", f"is not kept: {why}")
        lost = [*self._gone, *self._networks.changed()]
        for name, why in lost:
            found.lost("callback", f"`{name}`", why)
        known = [f"{owner}.{name}" for owner, values in state["attributes"].items() for name in values]
        known += [f"{owner}.{name}" for owner, name, _ in self._lost]
        for owner in self._owners:
            if owner.startswith("callback ") and self._saves_itself(owner):
                known += [owner, *(cls.__name__ for cls in type(self._owners[owner]).__mro__ if not _is_class_of_lightning(cls))]
        known += [*(f"module.{name}" for name in state["buffers"]), *(name for name, _ in lost)]
        self._hidden.note(found, known)

    def _parts(self) -> Parts:
        """Lists what Lightning calls."""
        trainer, module = self._trainer, self._trainer.lightning_module
        schedules = [one.scheduler for one in trainer.lr_scheduler_configs]
        parts = {f"module.{name}" if name else "module": one for name, one in module.named_modules()}
        hooked = {**parts, **{f"optimizer {i}": one for i, one in enumerate(trainer.optimizers)}, **{f"schedule {i}": one for i, one in enumerate(schedules)}}
        callbacks = {f"callback {i} {type(one).__name__}": one for i, one in enumerate(trainer.callbacks) if one is not self._marker}
        covered = [trainer, trainer.strategy, *trainer.loggers, *module.parameters(), *self._owners.values(), *callbacks.values(), *self._networks.held()]
        tracked = [*module.modules(), *trainer.optimizers, *schedules, *self._attributes.generators().values()]
        return Parts({**self._owners, **callbacks}, {**hooked, **self._attributes.all()}, covered, tracked)

    def _note_precision(self, found: Ingredients, checkpoint: Mapping[str, Any]) -> None:
        plugin = self._trainer.precision_plugin
        if getattr(plugin, "scaler", None) is None:
            found.absent("scaler", NAMES["scaler"])
        elif type(plugin).__qualname__ in checkpoint:
            found.kept("scaler", NAMES["scaler"])
        else:
            found.lost("scaler", NAMES["scaler"], "Lightning did not save it")

    def _note_callbacks(self, found: Ingredients, checkpoint: Mapping[str, Any]) -> None:
        kept = checkpoint.get("callbacks", {})
        for callback in self._trainer.callbacks:
            name = type(callback).__name__
            if callback is self._marker:
                continue
            if _is_of_lightning(callback) and not any(cls.__name__ in _KNOWN_CALLBACKS for cls in type(callback).__mro__):
                found.lost("callback", name, "nobody has seen it go on exactly after a resume")
            elif callback.state_key in kept:
                found.kept("callback", name)
        if not found.has("callback"):
            found.absent("callback", NAMES["callback"])

    def _saves_itself(self, owner: str) -> bool:
        callback = self._trainer.callbacks[int(owner.split(" ")[1])]
        return "state_dict" in {name for cls in type(callback).__mro__[:-1] if not _is_class_of_lightning(cls) for name in vars(cls)}

    def _is_left_out(self, target: Any, name: str) -> bool:
        return name in self._framework_names or (name.startswith("_") and name in _TORCHMETRICS)


_TORCHMETRICS = ("_update_signature", "_cache", "_reductions", "_defaults", "_persistent", "_dtype_convert", "_to_sync", "_should_unsync")


def _names_of_framework(module: Any, datamodule: Any) -> frozenset[str]:
    """Attributes that every module has, and that Lightning sets while it trains."""
    base = next(cls for cls in type(module).__mro__ if cls.__name__ == "LightningModule" and _is_class_of_lightning(cls))
    names = set(vars(base())) | {"training", "trainer", "_trainer", "_hparams", "_hparams_name", "_log_hyperparams", "_dtype", "_device"}
    names |= {"_optimizer_step_count", "_is_compiled", "_compiled_call_impl", "prepare_data_per_node", "allow_zero_length_dataloader_with_multiple_devices"}
    return frozenset(names)


def _is_hidden(module: Any, name: str) -> bool:
    """Tells a buffer that is in no ``state_dict``."""
    path, _, last = name.rpartition(".")
    return last in module.get_submodule(path)._non_persistent_buffers_set


def _is_of_lightning(value: Any) -> bool:
    return _is_class_of_lightning(type(value))


def _is_class_of_lightning(cls: Any) -> bool:
    return cls.__module__.partition(".")[0] in _PACKAGES


def _model_checkpoints(trainer: Any) -> List[Any]:
    return [one for one in trainer.callbacks if any(cls.__name__ == "ModelCheckpoint" for cls in type(one).__mro__)]


def _of_model_checkpoint(callback: Any) -> Dict[str, Any]:
    """Its list of the best, which it drops when a logger gives the new launch another folder."""
    names = ("best_k_models", "best_model_path", "best_model_score", "kth_best_model_path", "kth_value", "last_model_path")
    return {name: getattr(callback, name) for name in names if hasattr(callback, name)}


def _note_some(found: Ingredients, kind: str, there: int, kept: int) -> None:
    if there == 0:
        found.absent(kind, NAMES[kind])
    elif kept == there:
        found.kept(kind, NAMES[kind])
    else:
        found.lost(kind, NAMES[kind], f"Lightning has saved {kept} of {there}")
