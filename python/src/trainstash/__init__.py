"""Keeps every checkpoint of a training and resumes it bit for bit.

    import trainstash

    run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs(10):
        for x, y in run.batches(loader):
            ...                       # forward, backward, optimizer.step()
            run.step(loss=loss)
        run.log(val_acc=accuracy)

Needs nothing but Python itself; torch and the other frameworks are imported only when they are there already.
"""

from __future__ import annotations

import contextlib
import os

with contextlib.suppress(OSError, KeyError):
    # Whoever asks for a pause while the script still imports knows that it is worth waiting for.
    open(os.path.join(os.environ["TRAINSTASH_SESSION"], "package"), "a").close()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Optional, Union

    from .run import Run

__version__ = "0.2.0"
__all__ = ["ResumeError", "attach", "init", "keras", "paddle"]


class ResumeError(RuntimeError):
    """The checkpoint's weights or optimizer state cannot be loaded. Nothing was changed; training on from scratch
    without saying so would be the worst that could happen."""


def init(
    *,
    params: Optional[Mapping[str, Any]] = None,
    resume: Optional[str] = None,
    schedule: Optional[str] = None,
    every: Optional[Union[str, int, float]] = None,
    keep: Optional[Union[int, Mapping[str, Any]]] = None,
    badge: bool = True,
    **tracked: Any,
) -> Run:
    """Tracks the objects that make up a training, and restores them if this launch is a resume. Call it when models, optimizers
    and schedules are made, and before the loop.

    Args:
        params: Hyper-parameters, shown and compared; those of the launch win.
        resume: None resumes only when the launch says so; ``"last"`` goes on from the newest checkpoint of this script on this
            branch, or starts from the beginning where there is none; a path names a ``state.pt``.
        schedule: When a scheduler was built for another number of steps than the checkpoint's: ``"keep"`` the checkpoint's, or
            ``"rebuild"`` it from this step.
        every: How often checkpoints are taken: ``"5m"``, ``"100 steps"``, ``"1 epoch"``, several with commas, or seconds.
            None: each epoch's end, at least every five minutes, at a share of at most 2 % of the time. A job that says it
            wins.
        keep: How many of the newest are kept, or a dict of ``last``, ``every`` (steps) and ``best`` (``"val_loss"``,
            ``"max:val_acc"``). A job that says it wins.
        badge: False: the cell of a notebook that trains shows no progress; ``TRAINSTASH_BADGE=0`` does the same.
        tracked: Anything with ``state_dict()`` and ``load_state_dict()`` (models, optimizers, schedulers, scalers), random
            generators of torch, NumPy and Python, tensors, and dicts of tensors; the names are the keys in the checkpoint.

    Returns:
        The run, whose ``epochs``, ``batches`` and ``step`` the loop uses.

    Raises:
        ResumeError: Weights or optimizer state do not fit. Anything else that cannot be restored lowers the grade of the
            checkpoints, and says so.
        TypeError: An object has no state that could be kept.
        ValueError: ``every``, ``keep`` or ``schedule`` is none of the above.

    Example:
        run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler, every="1 epoch, 10m", keep=5)
    """
    from .launching import start
    from .wishes import Wishes

    return start(Wishes(params=params, resume=resume, schedule=schedule, every=every, keep=keep, badge=badge), tracked)


def attach(
    trainer: Any,
    *,
    every: Optional[Union[str, int, float]] = None,
    keep: Optional[Union[int, Mapping[str, Any]]] = None,
) -> Any:
    """Gives a Lightning or Hugging Face trainer checkpoints that resume. Call it before ``fit`` or ``train``.

    Args:
        trainer: A ``Trainer``.
        every: How often checkpoints are taken, as ``init`` takes it.
        keep: How many are kept, as ``init`` takes it.

    Returns:
        The same trainer.

    Raises:
        TypeError: It is no trainer of a framework that is known here.
        ValueError: ``every`` or ``keep`` is none of the above.

    Example:
        trainer = trainstash.attach(Trainer(max_epochs=10), every="1 epoch, 10m")
    """
    from .adapters import attach as attach_to
    from .wishes import Wishes

    return attach_to(trainer, Wishes(every=every, keep=keep))


def keras(
    *,
    every: Optional[Union[str, int, float]] = None,
    keep: Optional[Union[int, Mapping[str, Any]]] = None,
    **tracked: Any,
) -> Any:
    """Makes a callback for ``model.fit(callbacks=[trainstash.keras()])``, as often as the script calls ``fit``.

    Args:
        every: How often checkpoints are taken, as ``init`` takes it.
        keep: How many are kept, as ``init`` takes it.
        tracked: Nothing: it finds model, optimizer, data and callbacks in ``fit``.

    Returns:
        A ``keras.callbacks.Callback``.

    Raises:
        TypeError: Objects were given.
        ValueError: ``every`` or ``keep`` is none of the above.

    Example:
        model.fit(x, y, epochs=20, callbacks=[trainstash.keras(every="500 steps")])
    """
    from .adapters import keras_callback
    from .wishes import Wishes

    return keras_callback(Wishes(every=every, keep=keep), tracked)


def paddle(
    *,
    every: Optional[Union[str, int, float]] = None,
    keep: Optional[Union[int, Mapping[str, Any]]] = None,
    **tracked: Any,
) -> Any:
    """Makes a callback for ``paddle.Model.fit(callbacks=[trainstash.paddle()])``.

    Args:
        every: How often checkpoints are taken, as ``init`` takes it.
        keep: How many are kept, as ``init`` takes it.
        tracked: More objects, by name.

    Returns:
        A ``paddle.callbacks.Callback``.

    Raises:
        ValueError: ``every`` or ``keep`` is none of the above.

    Example:
        model.fit(train, epochs=20, callbacks=[trainstash.paddle(every="1 epoch, 10m")])
    """
    from .adapters import paddle_callback
    from .wishes import Wishes

    return paddle_callback(Wishes(every=every, keep=keep), tracked)
