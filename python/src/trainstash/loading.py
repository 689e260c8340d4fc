"""A saved state into the user's objects: checked first, all of it, so that what does not fit changes nothing."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import ResumeError, special, wrappers
from .ptfile import STORAGES

# Attributes in which a schedule keeps its length.
_LENGTHS = ("total_steps", "T_max", "total_iters")
_SHAPED_SLOTS = ("exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg", "max_exp_avg_sq")
_MOST_PROBLEMS = 5


class ModelPlan(NamedTuple):
    """The values that ``load_model`` loads, under the model's own names, and the names that it leaves as they are."""

    values: Dict[str, Any]
    metadata: Dict[str, Any]
    left: List[str]


def check_model(name: str, model: Any, saved: Mapping[str, Any], lost: Set[str]) -> ModelPlan:
    """Looks whether a saved state fits, as ``load_state_dict`` would, but before anything is loaded, and all of it.

    Args:
        name: The model's name in ``init``.
        saved: Its state in the checkpoint.
        lost: Places that could not be kept when the checkpoint was taken, such as "model.adj".

    Raises:
        ResumeError: It does not fit; the first differences are named.
    """
    now = model.state_dict()
    plain = wrappers.own_names(model, now)
    then = {wrappers.saved_name(key, plain) or key: value for key, value in saved.items()}
    parameters = {wrappers.plain_name(model, key) for key, _ in model.named_parameters()}
    problems: List[str] = []
    left: List[str] = []
    for key, own in plain.items():
        if key in then:
            problems += [] if key not in parameters and _loads_itself(model, own) else _misfit(f"{name}.{key}", now[own], then[key])
        elif f"{name}.{key}" in lost and key not in parameters:
            left.append(key)
        else:
            problems.append(f"{name}.{key} is not in the checkpoint")
    problems += [f"{name}.{key} is not in the model" for key in then if key not in plain]
    if problems:
        more = f" and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        raise ResumeError(f"The checkpoint does not fit: {'; '.join(problems[:_MOST_PROBLEMS])}{more}. Nothing was loaded.")
    return ModelPlan({plain[key]: value for key, value in then.items()}, _metadata(model, saved), left)


def _loads_itself(model: Any, key: str) -> bool:
    """Tells whether the module that has a buffer loads it by itself: observers of quantization get the shape of theirs with a batch."""
    torch: Any = sys.modules.get("torch")
    try:
        owner = type(model.get_submodule(key.rpartition(".")[0]))
        return torch is not None and owner._load_from_state_dict is not torch.nn.Module._load_from_state_dict
    except AttributeError:
        return False


def _misfit(place: str, now: Any, then: Any) -> List[str]:
    if not hasattr(now, "layout"):
        return []
    if not hasattr(then, "layout"):
        return [f"{place} is no tensor in the checkpoint"]
    if special.is_lazy(then) and not special.is_lazy(now):
        return [f"{place} had no shape yet when the checkpoint was taken, and has one now"]
    shapes = _shape(now), _shape(then)
    if None in shapes or special.is_lazy(now) or shapes[0] == shapes[1]:
        return []
    return [f"{place} is {list(shapes[1] or ())} in the checkpoint, {list(shapes[0] or ())} in the model"]


def _shape(tensor: Any) -> Optional[Tuple[int, ...]]:
    """Returns a tensor's shape; None for tensors whose shape is no list of numbers: lazy and nested ones."""
    if special.is_lazy(tensor) or special.is_jagged(tensor) or getattr(tensor, "is_nested", False):
        return None
    return tuple(tensor.shape)


def _metadata(model: Any, saved: Mapping[str, Any]) -> Dict[str, Any]:
    entries = getattr(saved, "_metadata", None)
    if not entries:
        return {}
    own = wrappers.own_names(model, (path for path, _ in model.named_modules(remove_duplicate=False)))
    return {own.get(wrappers.saved_name(path, own) or path, path): entry for path, entry in entries.items()}


def load_model(model: Any, plan: ModelPlan) -> None:
    """Loads what ``check_model`` found to fit."""
    try:
        _load_state(model, plan.values, plan.metadata, whole=not plan.left)
    except (RuntimeError, NotImplementedError):
        odd = {key: value for key, value in plan.values.items() if not _can_be_copied(value)}
        if not odd:
            raise
        _load_state(model, {key: value for key, value in plan.values.items() if key not in odd}, plan.metadata, whole=False)
        for key, value in odd.items():
            _put(model, key, value)


def _load_state(model: Any, values: Mapping[str, Any], metadata: Any, whole: bool) -> None:
    state = OrderedDict(values)
    if metadata:
        state._metadata = metadata  # type: ignore[attr-defined]
    if whole:
        model.load_state_dict(state)
    else:
        model.load_state_dict(state, strict=False)


def _can_be_copied(value: Any) -> bool:
    """Tells whether torch copies one such tensor into another."""
    if not hasattr(value, "layout"):
        return True
    name = str(value.dtype).rpartition(".")[2]
    known = name in STORAGES or name.startswith("float8") or name in ("complex32", "uint16", "uint32", "uint64")
    return known and str(value.layout) == "torch.strided" and not value.is_quantized and not getattr(value, "is_nested", False)


def _put(model: Any, key: str, value: Any) -> None:
    """Puts a tensor that torch cannot copy in the place of the one that the model has."""
    torch: Any = sys.modules["torch"]
    path, _, leaf = key.rpartition(".")
    owner = model.get_submodule(path)
    live = owner._parameters.get(leaf) if leaf in owner._parameters else owner._buffers[leaf]
    with torch.no_grad():
        try:
            live.copy_(value)
        except (RuntimeError, NotImplementedError):
            if leaf in owner._parameters:
                live.data = value.to(live.device)
            else:
                owner._buffers[leaf] = value.to(live.device)


def grow_groups(optimizer: Any, saved: Mapping[str, Any], slots: Optional[List[Optional[str]]], models: Mapping[str, Any]) -> None:
    """Adds the groups that a script added to an optimizer while it trained, with parameters of the tracked networks. An optimizer whose
    groups cannot be told stays as it is, and does not fit."""
    groups, own = saved["param_groups"], optimizer.param_groups
    sizes = [len(group["params"]) for group in groups]
    if len(sizes) <= len(own) or sizes[: len(own)] != [len(group["params"]) for group in own] or not slots:
        return
    known: Dict[str, Any] = {}
    for name, model in models.items():
        names = wrappers.own_names(model, (path for path, _ in model.named_parameters()))
        parameters = dict(model.named_parameters())
        known.update({f"{name}.{plain}": parameters[path] for plain, path in names.items()})
    at = sum(sizes[: len(own)])
    added: List[Set[int]] = []
    if any(slot not in known for slot in slots[at:]):
        return
    for group in groups[len(own) :]:
        size = len(group["params"])
        options = {key: value for key, value in group.items() if key != "params"}
        parameters_of_group = [known[str(slot)] for slot in slots[at : at + size]]
        optimizer.add_param_group({**options, "params": parameters_of_group})
        added.append(set(map(id, parameters_of_group)))
        at += size
    _take_once_more(optimizer, added)


def _take_once_more(optimizer: Any, added: List[Set[int]]) -> None:
    """Lets the script add these groups as well: a resume from inside of an epoch does its beginning again."""
    add = optimizer.add_param_group

    def add_param_group(group: Dict[str, Any]) -> None:
        given = group["params"] if not isinstance(group["params"], set) else list(group["params"])
        parameters = [given] if hasattr(given, "requires_grad") else list(given)
        same = {id(one[1] if isinstance(one, tuple) else one) for one in parameters}
        if same in added:
            added.remove(same)
        else:
            add({**group, "params": parameters})

    optimizer.add_param_group = add_param_group


def check_optimizer(
    name: str, optimizer: Any, saved: Mapping[str, Any], then: Optional[List[Optional[str]]], now: List[Optional[str]]
) -> List[int]:
    """Finds where each parameter's slot is in the checkpoint. Nothing else notices that two parameters changed places.

    Args:
        then, now: The names of the parameters in the order of their slots; None for a parameter of no tracked model.

    Raises:
        ResumeError: It is for other parameters.
    """
    sizes = [len(group["params"]) for group in saved["param_groups"]]
    own = [len(group["params"]) for group in optimizer.param_groups]
    if sizes != own:
        raise ResumeError(f"The checkpoint's {name} has parameter groups of {sizes} parameters, this one of {own}. Nothing was loaded.")
    order = order_of(name, then, now)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for i, parameter in enumerate(parameters):
        for slot, value in saved["state"].get(order[i], {}).items():
            shapes = _shape(value) if hasattr(value, "layout") else (), _shape(parameter)
            if slot in _SHAPED_SLOTS and shapes[0] and shapes[1] is not None and shapes[0] != shapes[1]:
                owner = now[i] or f"parameter {i}"
                raise ResumeError(
                    f"The checkpoint's {name} has {slot} of {list(shapes[0])} for {owner}, which is {list(shapes[1])}. Nothing was loaded."
                )
    return order


def order_of(name: str, then: Optional[List[Optional[str]]], now: List[Optional[str]]) -> List[int]:
    """Finds, for each slot of this launch, the one of the checkpoint that has the same parameter.

    Raises:
        ResumeError: They are of other parameters.
    """
    if not then or None in then or None in now:
        return list(range(len(now)))
    own = {str(slot): str(slot) for slot in now}
    known = [wrappers.saved_name(str(slot), own) or str(slot) for slot in then]
    if sorted(known) != sorted(own):
        gone = [slot for slot in known if slot not in own][:3]
        raise ResumeError(f"The checkpoint's {name} is for other parameters (such as {', '.join(gone)}). Nothing was loaded.")
    return [known.index(str(slot)) for slot in now]


def load_optimizer(optimizer: Any, saved: Mapping[str, Any], order: List[int]) -> None:
    """Loads slots and options; options that a checkpoint cannot hold, such as functions, stay the constructor's."""
    state = {i: saved["state"][at] for i, at in enumerate(order) if at in saved["state"]}
    groups = [dict(group) for group in saved["param_groups"]]
    for group, own in zip(groups, optimizer.param_groups):
        for key, value in own.items():
            if key not in group and key != "params":
                group[key] = value
    # torch makes each value anew of what it iterates over: a text or an array would be another one.
    with_tensors = {i: {key: value for key, value in slots.items() if _holds_tensors(value)} for i, slots in state.items()}
    optimizer.load_state_dict({**saved, "state": with_tensors, "param_groups": groups})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    # It casts slots to the parameter's dtype: float32 slots of bfloat16 weights would lose bits.
    for i, slots in state.items():
        kept = optimizer.state[parameters[i]]
        ordered = {key: _slot(value, kept.get(key)) for key, value in slots.items()}
        kept.clear()
        kept.update(ordered)


def _slot(saved: Any, loaded: Any) -> Any:
    """Returns a slot as it was, on the device that torch has found for it."""
    if not _holds_tensors(saved):
        return saved
    if isinstance(saved, deque):
        return deque(loaded, saved.maxlen)
    if hasattr(saved, "layout") and hasattr(loaded, "layout") and loaded.dtype != saved.dtype:
        return saved.to(loaded.device, copy=True)
    return loaded


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_tensors(item) for item in value.values())
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return any(_holds_tensors(item) for item in value)
    return hasattr(value, "layout")


def check_schedule(name: str, scheduler: Any, saved: Mapping[str, Any], schedule: Optional[str]) -> None:
    """Asks which length counts when a schedule was made for another one.

    Raises:
        ResumeError: The lengths differ and ``schedule`` does not say which counts.
    """
    fresh = scheduler.state_dict()
    differing = [(key, saved[key], fresh[key]) for key in _LENGTHS if key in saved and key in fresh and saved[key] != fresh[key]]
    inner = list(zip(saved.get("_schedulers") or [], fresh.get("_schedulers") or []))
    parts = [(k, s[k], f[k]) for s, f in inner for k in _LENGTHS if k in s and k in f and s[k] != f[k]]
    if (differing or parts) and schedule is None:
        key, then, now = (differing or parts)[0]
        raise ResumeError(
            f"{name} was made for {key}={then} and is now made for {now}. Nothing was loaded. "
            'Say init(schedule="keep") to go on with the old one, or init(schedule="rebuild") to follow the new one from this step on.'
        )
    if parts and schedule == "rebuild":
        raise ResumeError(
            f"{name} is made of several schedules and cannot be rebuilt from the middle. Nothing was loaded. "
            'Say init(schedule="keep") to go on with the old one.'
        )


def load_schedule(scheduler: Any, saved: Mapping[str, Any], schedule: Optional[str]) -> None:
    """Loads a schedule, or with ``schedule="rebuild"`` follows the one of the script from this step on."""
    fresh = scheduler.state_dict()
    state = {**fresh, **saved}
    if schedule == "rebuild" and any(saved.get(key) != fresh.get(key) for key in _LENGTHS if key in saved):
        kept = ("last_epoch", "_step_count", "num_bad_epochs", "best", "cooldown_counter")
        scheduler.load_state_dict({**fresh, **{key: state[key] for key in kept if key in state}})
        if hasattr(scheduler, "get_lr"):
            # One step back and forth, so that the rates are those of the new schedule at this step.
            scheduler.last_epoch -= 1
            scheduler._step_count -= 1
            scheduler.step()
        return
    scheduler.load_state_dict(state)
