"""The objects to be found on a Trainer of Transformers: those beside it that may have a state, its hyper-parameters, its metric."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

from .hidden_fit import Parts

#: Attributes of every Trainer that change while it trains, and that it sets by itself or that are put back one by one.
OF_TRAINER = (
    "state", "control", "args", "accelerator", "callback_handler", "model", "model_wrapped", "deepspeed", "optimizer", "lr_scheduler", "train_dataset",
    "eval_dataset", "data_collator", "processing_class", "is_in_train", "current_flos", "current_gradient_accumulation_steps",
    "_tr_loss", "_total_loss_scalar", "_globalstep_last_logged", "_initial_global_step", "_initial_num_input_tokens_seen", "_train_batch_size",
    "_created_lr_scheduler", "_memory_tracker", "_past", "_loggers_initialized", "_eval_dataloaders", "_signature_columns",
)  # fmt: skip
# Callbacks that show, or that set themselves up anew.
_SHOW_MODULES = ("transformers.integrations", "transformers.utils.notebook", "trainstash")
_SHOW_CLASSES = ("ProgressCallback", "PrinterCallback", "DefaultFlowCallback", "NotebookProgressCallback", "RichProgressCallback")


def callbacks_with_state(trainer: Any) -> List[Tuple[str, Any]]:
    """Lists the callbacks that may have a state, by a name that is the same in the next process."""
    found: List[Tuple[str, Any]] = []
    for callback in trainer.callback_handler.callbacks:
        kind = type(callback)
        if kind.__name__ in _SHOW_CLASSES or kind.__module__.startswith(_SHOW_MODULES):
            continue
        same = sum(1 for name, _ in found if name.partition("#")[0] == kind.__qualname__)
        found.append((f"{kind.__qualname__}#{same}", callback))
    return found


def ignored_of(callback: Any) -> List[str]:
    """Names private attributes of a class that talks to a tracker: it sets them up itself."""
    if any(cls.__module__.startswith(_SHOW_MODULES) for cls in type(callback).__mro__):
        return [name for name in vars(callback) if name.startswith("_")]
    return []


# Packages whose modules hold nothing but what their state_dict has.
_KNOWN_MODULES = ("torch", "transformers", "peft", "accelerate", "trl", "timm", "diffusers", "torchvision")
#: Attributes that every module has, and that its state_dict holds.
OF_MODULE = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training")


def modules_with_state(model: Any) -> List[Tuple[str, Any]]:
    """Lists the modules of the user's own classes, which may hold more than tensors."""
    return [(f"model.{name}".rstrip("."), one) for name, one in model.named_modules() if type(one).__module__.partition(".")[0] not in _KNOWN_MODULES]


def parts_of(trainer: Any, model: Any, covered: List[Any]) -> Parts:
    """Lists what the Trainer calls."""
    callbacks = dict(callbacks_with_state(trainer))
    shown = {type(one).__name__: one for one in trainer.callback_handler.callbacks if one not in callbacks.values()}
    given = {"data_collator": trainer.data_collator, "the training data": trainer.train_dataset, "the evaluation data": trainer.eval_dataset}
    for name, data in (("the transform of the training data", trainer.train_dataset), ("the transform of the evaluation data", trainer.eval_dataset)):
        given[name] = (getattr(data, "_format_kwargs", None) or {}).get("transform")
    optimizers = {"optimizer": _innermost(trainer.optimizer, "optimizer"), "schedule": _innermost(trainer.lr_scheduler, "scheduler")}
    modules = {f"model.{name}".rstrip("."): one for name, one in model.named_modules()}
    attributes = {f"{name}.{key}": value for name, one in callbacks.items() for key, value in list(vars(one).items()) if key not in ignored_of(one)}
    objects = {"trainer": trainer, **callbacks, **{name: one for name, one in given.items() if one is not None}}
    values = {**attributes, **modules, **{name: one for name, one in optimizers.items() if one is not None}}
    held = [*covered, *shown.values(), *model.parameters(), *model.buffers(), *optimizers.values()]
    return Parts(objects, values, held, [*model.modules(), *optimizers.values()])


def _innermost(wrapped: Any, name: str) -> Any:
    """Returns the optimizer or schedule that wrappers of Accelerate hold."""
    while name in getattr(wrapped, "__dict__", {}) and type(wrapped).__module__.startswith("accelerate"):
        wrapped = wrapped.__dict__[name]
    return wrapped


def params_of(trainer: Any) -> Dict[str, Any]:
    """Picks the hyper-parameters that people compare runs by."""
    arguments = getattr(trainer, "args", None)
    if arguments is None or not hasattr(arguments, "to_json_string"):
        return {}
    values = json.loads(arguments.to_json_string())
    wanted = ("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "weight_decay", "warmup_steps", "seed")
    return {name: values[name] for name in wanted if name in values}


def monitor_of(args: Any) -> Optional[Dict[str, str]]:
    """Names the metric that the script itself calls its best model by."""
    name = getattr(args, "metric_for_best_model", None)
    if not name:
        return None
    return {"metric": name if name.startswith("eval_") else f"eval_{name}", "mode": "max" if args.greater_is_better else "min"}
