"""The objects of a training: their state out, and in again without a surprise."""

from __future__ import annotations

import random
import sys
from typing import Any, Dict, List, Mapping, Optional

from . import ResumeError
from .staging import decode

# Options of optimizers that a user changes on a resume and means to take effect.
_OPTIONS = {"lr": "lr", "learning_rate": "lr", "weight_decay": "weight_decay", "momentum": "momentum", "betas": "betas", "eps": "eps"}
_LR_KEYS = ("lr", "initial_lr", "max_lr", "min_lr")
# Where a schedule keeps its length.
_LENGTHS = ("total_steps", "T_max", "total_iters")


def unwrap(value: Any) -> Any:
    """The model itself: DDP and torch.compile add a prefix to its names, and a file must load without them."""
    for _ in range(4):
        if type(value).__name__ in ("DistributedDataParallel", "DataParallel") and hasattr(value, "module"):
            value = value.module
        elif hasattr(value, "_orig_mod"):
            value = value._orig_mod
        else:
            break
    return value


def is_optimizer(value: Any) -> bool:
    return hasattr(value, "param_groups") and hasattr(value, "load_state_dict")


def is_scheduler(value: Any) -> bool:
    return hasattr(value, "load_state_dict") and not is_optimizer(value) and hasattr(value, "last_epoch")


def is_model(value: Any) -> bool:
    return hasattr(value, "named_parameters") and hasattr(value, "load_state_dict")


class Tracked:
    def __init__(self, objects: Mapping[str, Any]) -> None:
        self.objects: Dict[str, Any] = {}
        self.add(objects)

    def add(self, objects: Mapping[str, Any]) -> None:
        for name, value in objects.items():
            if name == "trainstash":
                raise ValueError('"trainstash" is the name of what a checkpoint says of the run; call it something else')
            if value is None:
                continue
            if not _kind(value):
                raise TypeError(
                    f"{name} ({type(value).__name__}) has no state_dict() and load_state_dict(), and is no random generator, "
                    "tensor or dict of tensors; plain values go into run.vars"
                )
            self.objects[name] = unwrap(value)

    def state(self) -> Dict[str, Any]:
        """Live tensors: to be copied before the next step."""
        return {name: state_of(value) for name, value in self.objects.items()}

    def slot_names(self) -> Dict[str, List[Optional[str]]]:
        """For each optimizer, the names of its parameters in the order of its slots."""
        names: Dict[int, str] = {}
        for key, value in self.objects.items():
            if is_model(value):
                for name, parameter in value.named_parameters():
                    names.setdefault(id(parameter), f"{key}.{name}")
        return {
            key: [names.get(id(parameter)) for group in value.param_groups for parameter in group["params"]]
            for key, value in self.objects.items()
            if is_optimizer(value)
        }

    def restore(
        self,
        saved: Mapping[str, Any],
        slots: Mapping[str, List[Optional[str]]],
        schedule: Optional[str],
        names: Optional[List[str]] = None,
    ) -> List[str]:
        """Loads what ``state()`` gave into the objects of these names, or into all. Returns what is missing, for people.
        Raises ResumeError before anything is changed when weights or optimizer state do not fit."""
        objects = {name: value for name, value in self.objects.items() if names is None or name in names}
        missing = [f"{name} was not in the checkpoint" for name in objects if name not in saved]
        serious = [name for name, value in objects.items() if name not in saved and (is_model(value) or is_optimizer(value))]
        if serious:
            raise ResumeError(
                f"The checkpoint has no {', '.join(serious)}; it has {', '.join(k for k in saved if k != 'trainstash')}. "
                "Nothing was loaded. Give init() the same names as the run had."
            )
        order = {}
        for name, value in objects.items():
            if name not in saved:
                continue
            if is_model(value):
                _check_model(name, value, saved[name])
            elif is_optimizer(value):
                order[name] = _check_optimizer(name, value, saved[name], slots.get(name), self.slot_names()[name])
            elif is_scheduler(value):
                _check_schedule(name, value, saved[name], schedule)
        for name, value in objects.items():
            if name not in saved:
                continue
            try:
                if is_optimizer(value):
                    _load_optimizer(value, saved[name], order[name])
                elif is_scheduler(value):
                    _load_scheduler(value, saved[name], schedule)
                else:
                    _load(value, saved[name])
            except Exception as error:
                if is_model(value) or is_optimizer(value):
                    raise ResumeError(f"{name} cannot be loaded: {error}") from error
                missing.append(f"{name} ({error})")
        return missing

    def apply_options(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
        """Options of the optimizers that were changed since the checkpoint. Returns what was done, for people."""
        done = []
        for key, option in _OPTIONS.items():
            if key not in before or key not in now or before[key] == now[key]:
                continue
            old, new = before[key], now[key]
            count = sum(_set_option(value, option, old, new) for value in self.objects.values() if is_optimizer(value))
            if option == "lr":
                for value in self.objects.values():
                    if is_scheduler(value):
                        _set_base_rates(value, old, new)
            if count:
                done.append(f"{key} is {new} from here on (it was {old})")
        return done


def _kind(value: Any) -> bool:
    if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
        return True
    return _is_generator(value) or _is_tensors(value)


def _is_generator(value: Any) -> bool:
    return isinstance(value, random.Random) or hasattr(value, "bit_generator") or _is_torch(value, "Generator")


def _is_torch(value: Any, name: str) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, name))


def _is_tensors(value: Any) -> bool:
    if _is_torch(value, "Tensor"):
        return True
    return isinstance(value, dict) and all(_is_torch(item, "Tensor") for item in value.values())


def state_of(value: Any) -> Any:
    if hasattr(value, "state_dict"):
        return value.state_dict()
    if isinstance(value, random.Random):
        version, internal, gauss = value.getstate()
        return {"version": version, "state": list(internal), "gauss": gauss}
    if hasattr(value, "bit_generator"):
        return value.bit_generator.state
    if _is_torch(value, "Generator"):
        return value.get_state()
    return value


def _load(value: Any, saved: Any) -> None:
    if hasattr(value, "load_state_dict"):
        value.load_state_dict(decode(saved))
    elif isinstance(value, random.Random):
        value.setstate((saved["version"], tuple(saved["state"]), saved["gauss"]))
    elif hasattr(value, "bit_generator"):
        value.bit_generator.state = decode(saved)
    elif _is_torch(value, "Generator"):
        value.set_state(saved)
    else:
        import torch

        with torch.no_grad():
            if isinstance(value, dict):
                for key, tensor in saved.items():
                    if key in value and value[key].shape == tensor.shape:
                        value[key].copy_(tensor)
                    else:
                        value[key] = tensor
                for key in [key for key in value if key not in saved]:
                    del value[key]
            else:
                value.copy_(saved)


def _check_model(name: str, model: Any, saved: Mapping[str, Any]) -> None:
    """As `load_state_dict` would, but before anything is loaded, and all of it."""
    import torch

    now = model.state_dict()
    problems = []
    for key, value in now.items():
        if key not in saved:
            problems.append(f"{name}.{key} is not in the checkpoint")
        elif isinstance(value, torch.Tensor) and tuple(value.shape) != tuple(saved[key].shape):
            problems.append(f"{name}.{key} is {list(saved[key].shape)} in the checkpoint, {list(value.shape)} in the model")
    problems += [f"{name}.{key} is not in the model" for key in saved if key not in now]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ResumeError(f"The checkpoint does not fit: {'; '.join(problems[:5])}{more}. Nothing was loaded.")


def _check_optimizer(
    name: str, optimizer: Any, saved: Mapping[str, Any], then: Optional[List[Optional[str]]], now: List[Optional[str]]
) -> List[int]:
    """Where each parameter's slot is in the checkpoint. Nothing else notices that two parameters changed places."""
    sizes = [len(group["params"]) for group in saved["param_groups"]]
    own = [len(group["params"]) for group in optimizer.param_groups]
    if sizes != own:
        raise ResumeError(
            f"The checkpoint's {name} has parameter groups of {sizes} parameters, this one of {own}. Nothing was loaded."
        )
    order = list(range(len(now)))
    if then and None not in then and None not in now and then != now:
        if sorted(map(str, then)) != sorted(map(str, now)):
            gone = [slot for slot in then if slot not in now][:3]
            raise ResumeError(f"The checkpoint's {name} is for other parameters (such as {', '.join(map(str, gone))}). Nothing was loaded.")
        order = [then.index(slot) for slot in now]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for i, parameter in enumerate(parameters):
        for slot, value in saved["state"].get(order[i], {}).items():
            shape = getattr(value, "shape", ())
            if len(shape) > 0 and slot in ("exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg", "max_exp_avg_sq") and tuple(shape) != tuple(parameter.shape):
                raise ResumeError(
                    f"The checkpoint's {name} has {slot} of {list(shape)} for {now[i] or f'parameter {i}'}, which is {list(parameter.shape)}. Nothing was loaded."
                )
    return order


def _load_optimizer(optimizer: Any, saved: Mapping[str, Any], order: List[int]) -> None:
    import torch

    plain = decode(saved)
    plain["state"] = {i: plain["state"][at] for i, at in enumerate(order) if at in plain["state"]}
    # Options that are functions or objects are the constructor's.
    for group, own in zip(plain["param_groups"], optimizer.param_groups):
        for key, value in own.items():
            if key not in group and key != "params":
                group[key] = value
    optimizer.load_state_dict(plain)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    # It casts slots to the parameter's dtype: float32 slots of bfloat16 weights would lose bits.
    for i, slots in plain["state"].items():
        parameter = parameters[i]
        for key, value in slots.items():
            loaded = optimizer.state[parameter].get(key)
            if isinstance(value, torch.Tensor) and isinstance(loaded, torch.Tensor) and loaded.dtype != value.dtype:
                optimizer.state[parameter][key] = value.to(loaded.device, copy=True)


def _check_schedule(name: str, scheduler: Any, saved: Mapping[str, Any], schedule: Optional[str]) -> None:
    fresh = scheduler.state_dict()
    for key in _LENGTHS:
        if key in saved and key in fresh and saved[key] != fresh[key] and schedule is None:
            raise ResumeError(
                f"{name} was made for {key}={saved[key]} and is now made for {fresh[key]}. Nothing was loaded. "
                'Say init(schedule="keep") to go on with the old one, or init(schedule="rebuild") to follow the new one from this step on.'
            )


def _load_scheduler(scheduler: Any, saved: Mapping[str, Any], schedule: Optional[str]) -> None:
    fresh = scheduler.state_dict()
    state = {**fresh, **decode(saved)}
    if schedule == "rebuild" and any(saved.get(key) != fresh.get(key) for key in _LENGTHS if key in saved):
        kept = ("last_epoch", "_step_count", "num_bad_epochs", "best", "cooldown_counter")
        state = {**fresh, **{key: state[key] for key in kept if key in state}}
        scheduler.load_state_dict(state)
        if hasattr(scheduler, "get_lr"):
            # One step back and forth, so that the rates are those of the new schedule at this step.
            scheduler.last_epoch -= 1
            scheduler._step_count -= 1
            scheduler.step()
        return
    scheduler.load_state_dict(state)


def _set_option(optimizer: Any, option: str, old: Any, new: Any) -> bool:
    touched = False
    for group in optimizer.param_groups:
        if option not in group:
            continue
        if option == "lr":
            # A schedule has moved it since: it keeps its place in the schedule.
            if isinstance(old, (int, float)) and isinstance(new, (int, float)) and old != 0:
                for key in _LR_KEYS:
                    if key in group:
                        group[key] = group[key] * (new / old) if group[key] != old else type(group[key])(new)
                touched = True
        elif _same(group[option], old):
            group[option] = tuple(new) if isinstance(new, list) else new
            touched = True
    return touched


def _set_base_rates(scheduler: Any, old: Any, new: Any) -> None:
    rates = getattr(scheduler, "base_lrs", None)
    if isinstance(rates, list) and isinstance(old, (int, float)) and isinstance(new, (int, float)) and old != 0:
        scheduler.base_lrs = [new if rate == old else rate * (new / old) for rate in rates]
        if hasattr(scheduler, "_last_lr"):
            scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(value) == list(other)
    return bool(value == other)
