"""The objects that Paddle's ``Model.fit`` calls, and those of them that a checkpoint holds: to find state that the script keeps."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List

from .hidden_fit import Parts, named
from .paddle_objects import inner_optimizer, is_schedule

_HOOKS = ("_forward_pre_hooks", "_forward_post_hooks")


def parts_of(model: Any, callbacks: List[Any]) -> Parts:
    """Lists what is called. ``callbacks``: all but ours."""
    objects = dict(named([*callbacks, *model._metrics]))
    values: Dict[str, Any] = {}
    for name, one in objects.items():
        values.update({f"{name}.{key}": item for key, item in list(getattr(one, "__dict__", {}).items()) if _mark(item) is not None})
    layers = model.network.named_sublayers(include_self=True)
    for path, layer in layers:
        objects[f"layer {path}"] = layer
        values.update({f"layer {path}.{hooks}": list((getattr(layer, hooks, None) or {}).values()) for hooks in _HOOKS})
    schedule = getattr(inner_optimizer(model._optimizer), "_learning_rate", None)
    if is_schedule(schedule):
        objects["schedule"] = schedule
    if model._loss is not None:
        objects["loss"] = model._loss
    return Parts(objects, values, [model, *model.network.parameters(), model._optimizer], [], _mark)


def reading_of(loader: Any) -> Parts:
    """Lists what a loader calls to make a batch. The attributes of its data set are kept."""
    parts = {"the data set": getattr(loader, "dataset", None), "collate_fn": getattr(loader, "collate_fn", None)}
    return Parts({name: one for name, one in parts.items() if one is not None}, {}, [], [], _mark)


def _mark(value: Any) -> Any:
    import paddle

    if isinstance(value, paddle.nn.Layer):
        return tuple(_mark(tensor) for tensor in value.state_dict().values())
    if isinstance(value, paddle.Tensor):
        return hashlib.blake2b(value.numpy().tobytes(), digest_size=8).hexdigest()
    return "" if type(value).__module__.partition(".")[0] == "paddle" else None
