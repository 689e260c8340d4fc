"""Objects beside a Trainer of Transformers that may have a state: which of them, and which of their attributes."""

from __future__ import annotations

from typing import Any, List, Tuple

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
