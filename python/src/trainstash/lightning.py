"""Lightning. Its own checkpoint holds weights, optimizers, schedules, loops and callbacks, and what it leaves out is added. It is
handed to us instead of being written; the file is one that Lightning and plain torch can load."""

from __future__ import annotations

import inspect
import os
from typing import Any, Optional

from . import ResumeError
from .lightning_fit import LightningFit
from .recorder import Recorder, recorder_of
from .session import STATE_FILE, say
from .wishes import Wishes

_SPAWNING = "_MultiProcessingLauncher"
# Strategies whose checkpoints go through Lightning's own state dicts; others save and load by themselves.
_PACKAGES = ("lightning", "pytorch_lightning")
_KNOWN_STRATEGIES = ("SingleDeviceStrategy", "DDPStrategy")


def attach_lightning(trainer: Any, wishes: Wishes) -> Any:
    """Gives each ``fit`` of a trainer checkpoints that resume."""
    recorder = recorder_of("lightning", wishes)
    original = trainer.fit
    signature = inspect.signature(original)

    def fit(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        why = _why_not(trainer)
        if why is not None and recorder.resume is not None:
            raise ResumeError(f"This launch is to go on from a checkpoint, and its fit cannot: {why}. Nothing was trained.")
        if why is not None:
            say(f"this fit is not recorded: {why}")
            # Processes that are spawned get a copy of the trainer, and this function cannot be copied.
            del trainer.fit
            try:
                return original(*arguments, **named)
            finally:
                trainer.fit = fit
        return _recorded(recorder, trainer, original, bound)

    trainer.fit = fit
    return trainer


def _recorded(recorder: Recorder, trainer: Any, original: Any, bound: inspect.BoundArguments) -> Any:
    fit = recorder.next_fit()
    if fit.folder is not None:
        if bound.arguments.get("ckpt_path") is not None:
            say(f"ckpt_path={bound.arguments['ckpt_path']!r} is not used: this launch goes on from the checkpoint that was asked for")
        bound.arguments["ckpt_path"] = os.path.join(fit.folder, STATE_FILE)
        if "weights_only" in inspect.signature(original).parameters:
            bound.arguments["weights_only"] = False
    running = LightningFit(recorder, fit, trainer, bound.arguments["model"])
    with running.installed():
        return original(*bound.args, **bound.kwargs)


def _why_not(trainer: Any) -> Optional[str]:
    launcher = getattr(trainer.strategy, "launcher", None)
    if type(launcher).__name__ == _SPAWNING:
        return 'its strategy starts processes out of this one, which cannot be recorded; strategy="ddp" starts them anew'
    # DeepSpeed's is a DDPStrategy, and saves in a way of its own.
    strategy = next(cls.__name__ for cls in type(trainer.strategy).__mro__ if cls.__module__.partition(".")[0] in _PACKAGES)
    if strategy not in _KNOWN_STRATEGIES:
        return (
            f"{strategy} saves and loads by itself, which was not tried with this line. What ModelCheckpoint writes is kept as "
            "files of the script: see its docs/guides/lightning.md"
        )
    return None

