"""Lightning's loops, callbacks and loggers, where their own interface does not reach."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import signals


class Wraps:
    """Methods of single objects that are followed for a while."""

    def __init__(self) -> None:
        self._undo: List[Callable[[], None]] = []

    def add(self, target: Any, name: str, around: Callable[..., Any]) -> None:
        """Calls ``around`` instead of a method, with the method as its first argument."""
        original = getattr(target, name)
        before = target.__dict__.get(name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            return around(original, *arguments, **named)

        def undo() -> None:
            if before is None:
                target.__dict__.pop(name, None)
            else:
                target.__dict__[name] = before

        target.__dict__[name] = wrapped
        self._undo.append(undo)

    def undo(self) -> None:
        """Leaves the objects as they were."""
        while self._undo:
            self._undo.pop()()


def marker(trainer: Any) -> Any:
    """Makes a callback that does nothing. While it is not among the trainer's, that is being tuned."""
    base = next(cls for one in [*trainer.callbacks, trainer] for cls in _callback_classes(one))
    return type("TrainstashCallback", (base,), {})()


def _callback_classes(value: Any) -> List[Any]:
    found = [cls for cls in type(value).__mro__ if cls.__name__ == "Callback"]
    if found:
        return found
    package = next((cls.__module__ for cls in type(value).__mro__ if cls.__name__ == "Trainer"), "")
    return [importlib.import_module(package.partition(".trainer")[0]).Callback]


def no_logger(trainer: Any) -> Any:
    package = next(cls.__module__ for cls in type(trainer).__mro__ if cls.__name__ == "Trainer").partition(".trainer")[0]
    return importlib.import_module(f"{package}.loggers.logger").DummyLogger()


def not_restarting(loop: Any) -> None:
    """Takes a loop and those in it for ones that were never restarted."""
    loop.__dict__["_restarting"] = False
    if "_loaded_from_state_dict" in loop.__dict__:
        loop.__dict__["_loaded_from_state_dict"] = False
    for inner in loop.__dict__.values():
        if hasattr(inner, "epoch_loop") or "_restarting" in getattr(inner, "__dict__", {}):
            if inner is not loop and hasattr(inner, "restarting"):
                not_restarting(inner)


def load_progress(loop: Any, saved: Mapping[str, Any], prefix: str) -> None:
    """Gives a loop and those in it the counts of a checkpoint."""
    for name, value in list(loop.__dict__.items()):
        key = f"{prefix}{name}"
        if key in saved and hasattr(value, "load_state_dict"):
            value.load_state_dict(saved[key])
        elif hasattr(value, "restarting") and hasattr(value, "state_dict"):
            load_progress(value, saved, f"{key}.")
    more = saved.get(f"{prefix}state_dict")
    if isinstance(more, dict) and "_batches_that_stepped" in more:
        loop._batches_that_stepped = more["_batches_that_stepped"]


def is_last_epoch(loop: Any, step: int) -> bool:
    """Tells at the end of an epoch whether the end of the fit follows at once."""
    done = loop.epoch_progress.current.processed
    by_epochs = loop.max_epochs is not None and loop.max_epochs != -1 and done >= loop.max_epochs
    by_steps = loop.max_steps != -1 and step >= loop.max_steps
    return bool(by_epochs or by_steps or (loop.trainer.should_stop and loop._can_stop_early))


def length_of(trainer: Any, each: int = 1) -> Tuple[Optional[int], Optional[int]]:
    """Reads how many steps a fit and an epoch have, as far as that is known. ``each``: steps of a batch, of several optimizers."""
    total, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    steps = None if total in (-1, float("inf")) else int(total) * (each if trainer.max_steps == -1 else 1)
    return steps, None if batches == float("inf") else -(-int(batches) // trainer.accumulate_grad_batches) * each


def set_sampler_epochs(loop: Any) -> None:
    """Tells samplers which epoch it is, as Lightning does when one begins."""
    set_epoch = getattr(sys.modules[type(loop).__module__], "_set_sampler_epoch", None)
    for loader in loop._combined_loader.flattened:
        if set_epoch is not None:
            set_epoch(loader, loop.epoch_progress.current.processed)


def set_batch_number(loop: Any) -> None:
    """Lets a ``training_step`` that asks for its batches itself count on from those that are used up."""
    iterator: Any = getattr(loop._combined_loader, "_iterator", None)
    if isinstance(getattr(iterator, "_idx", None), int):
        iterator._idx = loop.epoch_loop.batch_progress.current.ready


def reload_epochs(loop: Any) -> Dict[str, Any]:
    """Reads in which epochs loaders were made last, where Lightning makes them anew after some."""
    if not loop.trainer.reload_dataloaders_every_n_epochs:
        return {}
    return {name: owner.__dict__.get(name) for owner, name in _reloads(loop)}


def set_reload_epochs(loop: Any, saved: Mapping[str, Any]) -> None:
    """Puts back what ``reload_epochs`` read."""
    for owner, name in _reloads(loop):
        if name in saved:
            owner.__dict__[name] = saved[name]


def _reloads(loop: Any) -> Any:
    return (loop, "_last_train_dl_reload_epoch"), (loop.epoch_loop.val_loop, "_last_val_dl_reload_epoch")


def note_term() -> None:
    """Notes SIGTERM in the place of Lightning's own handler, which ends the fit on the rank that was sent it, and nowhere else.
    One that does more, for Slurm or for the script, stays."""
    handlers = getattr(signal.getsignal(signal.SIGTERM), "signal_handlers", [])
    if len(handlers) == 1 and getattr(handlers[0], "__name__", "") == "_sigterm_notifier_fn":
        signals.take_over_term()
