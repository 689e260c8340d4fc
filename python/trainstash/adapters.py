"""One line for frameworks that own the loop. Each is imported only when its own objects are at hand."""

from __future__ import annotations

from typing import Any


def attach(trainer: Any) -> Any:
    modules = {cls.__module__.partition(".")[0] for cls in type(trainer).__mro__}
    if modules & {"lightning", "pytorch_lightning"}:
        from .lightning import attach_lightning

        return attach_lightning(trainer)
    if "transformers" in modules:
        from .huggingface import attach_transformers

        return attach_transformers(trainer)
    raise TypeError(
        f"attach() knows the trainers of Lightning and Transformers, and {type(trainer).__module__}.{type(trainer).__qualname__} is "
        "neither. With a loop of your own use trainstash.init()."
    )


def keras_callback(**tracked: Any) -> Any:
    from .keras import make_callback

    return make_callback(tracked)


def paddle_callback(**tracked: Any) -> Any:
    from .paddle import make_callback

    return make_callback(tracked)
