"""The kind of a tracked object, in the words of a checkpoint's ingredients."""

from __future__ import annotations

import sys
from typing import Any

from . import rng
from .adopted import Adopted
from .tracked import is_model, is_optimizer, is_scheduler

#: The name of each kind where there is no object that has one.
NAMES = {
    "weights": "weights",
    "optimizer": "optimizer",
    "schedule": "schedule",
    "scaler": "scaler",
    "data": "order and place of the data",
    "loop": "values of the loop",
    "gradients": "gradients left over",
    "callback": "callbacks",
}


def kind_of(value: Any) -> str:
    """Returns one of the kinds of ``ingredients.KINDS``."""
    if isinstance(value, Adopted):
        return value.kind
    if is_optimizer(value):
        return "optimizer"
    if is_model(value):
        return "weights"
    if rng.is_generator(value):
        return "random"
    if is_scaler(value):
        return "scaler"
    if is_scheduler(value) or _drives_an_optimizer(value):
        return "schedule"
    return "other"


def is_scaler(value: Any) -> bool:
    return hasattr(value, "get_scale") and hasattr(value, "unscale_")


def _drives_an_optimizer(value: Any) -> bool:
    """Schedules that are no LRScheduler, such as ReduceLROnPlateau of old and those of libraries."""
    torch = sys.modules.get("torch")
    optimizer = getattr(value, "optimizer", None)
    return torch is not None and isinstance(optimizer, torch.optim.Optimizer) and hasattr(value, "step")
