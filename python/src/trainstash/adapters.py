"""One line for frameworks that own the loop. Each is imported only when its own objects are at hand."""

from __future__ import annotations

from typing import Any, Mapping

from .wishes import Wishes


def attach(trainer: Any, wishes: Wishes) -> Any:
    """Gives a trainer checkpoints that resume.

    Raises:
        TypeError: It is no trainer of a framework that is known here.
        ValueError: The wishes make no sense.
    """
    wishes.check()
    modules = {cls.__module__.partition(".")[0] for cls in type(trainer).__mro__}
    if modules & {"lightning", "pytorch_lightning"}:
        from .lightning import attach_lightning

        return attach_lightning(trainer, wishes)
    if "transformers" in modules:
        from .huggingface import attach_transformers

        return attach_transformers(trainer, wishes)
    raise TypeError(
        f"attach() knows the trainers of Lightning and Transformers, and {type(trainer).__module__}.{type(trainer).__qualname__} is "
        "neither. With a loop of your own use trainstash.init()."
    )


def keras_callback(wishes: Wishes, tracked: Mapping[str, Any]) -> Any:
    """Makes a callback for ``fit`` of Keras. Raises ValueError for wishes that make no sense."""
    wishes.check()
    from .keras_callback import make_callback

    return make_callback(wishes, tracked)


def paddle_callback(wishes: Wishes, tracked: Mapping[str, Any]) -> Any:
    """Makes a callback for ``fit`` of Paddle. Raises ValueError for wishes that make no sense."""
    wishes.check()
    from .paddle_fit import make_callback

    return make_callback(wishes, tracked)
