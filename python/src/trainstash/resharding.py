"""Sharded tensors of a checkpoint, cut for the processes that there are now; and whole ones for a model that is sharded now."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from . import ResumeError, sharded, special, wrappers
from .distributed import Group
from .loading import order_of
from .session import say
from .tracked import Tracked, is_model, is_optimizer

#: A key that ``launching`` sets in a state that was read: where the shards beside it lie.
FOLDER_KEY = "shards at"


def fit(saved: Dict[str, Any], tracked: Tracked, slots: Mapping[str, Any], group: Group) -> Dict[str, Any]:
    """Gives a state that was read the tensors that this launch needs. All processes come here together.

    Args:
        saved: A state from ``ptread``.
        tracked: The objects that it is for; nothing of them is changed.
        slots: The names of the parameters of each optimizer in the checkpoint.

    Raises:
        ResumeError: The shards cannot be read.
    """
    if not tracked.is_sharded() and not sharded.placeholders(saved):
        return saved
    owners = list(_owners(saved, tracked, slots))
    targets: Dict[str, Any] = {}
    for _, value, own in owners:
        if isinstance(value, sharded.Sharded) and hasattr(own, "layout"):
            targets[value.key] = sharded.target_like(own, value)
    if targets:
        _load(targets, saved, group)
    whole = {id(value): own for _, value, own in owners if special.is_sharded(own) and _is_whole(value, own)}
    return dict(_replaced(saved, targets, whole))


def _load(targets: Dict[str, Any], saved: Mapping[str, Any], group: Group) -> None:
    own = saved.get("trainstash") or {}
    folder = own.get(FOLDER_KEY)
    if folder is None:
        raise ResumeError("The checkpoint's shards are not beside its state.pt. Nothing was loaded.")
    then = len(own.get("rng") or [])
    if then and then != group.world:
        say(f"the weights are cut anew: {then} {'processes' if then > 1 else 'process'} wrote them, and there {'are' if group.world > 1 else 'is'} {group.world} now")
    try:
        sharded.load(targets, folder, group)
    except (ValueError, OSError) as error:
        raise ResumeError(f"The checkpoint in {folder} cannot be loaded: {error}. Nothing was loaded.") from error


def _owners(saved: Mapping[str, Any], tracked: Tracked, slots: Mapping[str, Any]) -> Iterator[Tuple[str, Any, Any]]:
    """Yields each saved tensor of models, optimizers and gradients, with the tensor of this launch that it belongs to."""
    for name, value in tracked.objects.items():
        if name in saved and is_model(value):
            yield from _of_model(name, value, saved[name])
        elif name in saved and is_optimizer(value):
            yield from _of_optimizer(name, value, saved[name], slots.get(name), tracked)
    gradients = (saved.get("trainstash") or {}).get("gradients") or {}
    parameters = {f"{name}.{key}": parameter for name, key, parameter in _parameters(tracked)}
    for place, gradient in gradients.items():
        if place in parameters:
            yield place, gradient, parameters[place]


def _of_model(name: str, model: Any, saved: Mapping[str, Any]) -> Iterator[Tuple[str, Any, Any]]:
    now = model.state_dict()
    plain = wrappers.own_names(model, now)
    for key, value in saved.items():
        own = plain.get(wrappers.saved_name(key, plain) or "")
        if own is not None:
            yield f"{name}.{key}", value, now[own]


def _of_optimizer(
    name: str, optimizer: Any, saved: Mapping[str, Any], then: Optional[List[Optional[str]]], tracked: Tracked
) -> Iterator[Tuple[str, Any, Any]]:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if len(parameters) != sum(len(group["params"]) for group in saved["param_groups"]):
        return  # It is refused when all is checked.
    for i, at in enumerate(order_of(name, then, tracked.slot_names()[name])):
        for slot, value in saved["state"].get(at, {}).items():
            yield f"{name}.{slot}", value, parameters[i]


def _parameters(tracked: Tracked) -> Iterator[Tuple[str, str, Any]]:
    for name, value in tracked.objects.items():
        if is_model(value):
            for key, parameter in value.named_parameters():
                yield name, wrappers.plain_name(value, key), parameter


def _is_whole(value: Any, own: Any) -> bool:
    return hasattr(value, "layout") and not isinstance(value, sharded.Sharded) and tuple(value.shape) == tuple(own.shape) and value.dim() > 0


def _replaced(saved: Any, targets: Mapping[str, Any], whole: Mapping[int, Any]) -> Any:
    if isinstance(saved, sharded.Sharded):
        return targets.get(saved.key, saved)
    if id(saved) in whole:
        return sharded.as_own(whole[id(saved)], saved)
    if isinstance(saved, dict):
        items = [(key, _replaced(value, targets, whole)) for key, value in saved.items()]
        if type(saved) is not OrderedDict:
            return dict(items)
        made = OrderedDict(items)
        if hasattr(saved, "_metadata"):
            made._metadata = saved._metadata  # type: ignore[attr-defined]
        return made
    if type(saved) in (list, tuple):
        return type(saved)(_replaced(value, targets, whole) for value in saved)
    return saved
