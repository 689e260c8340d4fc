"""Layers, optimizers, schedules and scalers of Paddle: their state out as arrays, and in again. Slots are known by the
parameter that they belong to, since Paddle's own names for both count how many were made before."""

from __future__ import annotations

import hashlib
import inspect
import struct
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import ResumeError
from .arrayfile import Array

_MOST_PROBLEMS = 5
# Elements of a tensor that is read whole to see whether it has changed.
_SMALL = 1 << 16
_TYPES = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
_SCALARS = (bool, int, float, str, type(None))
#: Every parameter of the tracked layers by its id, such as "model.0.weight".
Names = Mapping[int, str]


def array_of(tensor: Any) -> Array:
    """Copies a tensor to the host, with its type as safetensors calls it."""
    import numpy

    from .arrayfile import _NAMES

    data = numpy.array(tensor.numpy(), order="C", copy=True)
    kind = str(tensor.dtype).rpartition(".")[2]
    name = _TYPES.get(kind) or _NAMES.get(data.dtype.name)
    if name is None:
        raise TypeError(f"it is of the type {kind}, which a checkpoint cannot hold")
    return Array(data, name)


def is_known(value: Any) -> bool:
    """Tells objects of Paddle that are kept in another way, or have no state of the script's."""
    import paddle

    kinds = (paddle.Model, paddle.io.Dataset, paddle.io.DataLoader, paddle.nn.Layer, paddle.optimizer.Optimizer)
    # Bars, timers and writers: a training goes the same way without them.
    modules = ("paddle.hapi.progressbar", "paddle.optimizer", "visualdl", "wandb", "trainstash")
    return isinstance(value, kinds) or type(value).__module__.startswith(modules)


def plain_tensor(value: Any) -> Any:
    """Returns a tensor as a plain value; None for anything else."""
    import paddle

    if isinstance(value, paddle.Tensor):
        return {"trainstash.tensor": value.numpy().copy(), "type": str(value.dtype).rpartition(".")[2]}
    return None


def tensor_of(value: Any) -> Any:
    """Makes the tensor of what ``plain_tensor`` gave; None for anything else."""
    import paddle

    if isinstance(value, dict) and "trainstash.tensor" in value:
        return paddle.to_tensor(value["trainstash.tensor"], dtype=value["type"])
    return None


# ---- layers ----


def layer_state(layer: Any) -> Dict[str, Array]:
    """Returns all parameters and buffers that the layer itself would save."""
    return {str(name): array_of(tensor) for name, tensor in layer.state_dict().items()}


def check_layer(name: str, layer: Any, saved: Mapping[str, Any]) -> None:
    """Looks whether a saved state fits, all of it.

    Raises:
        ResumeError: It does not; the first differences are named.
    """
    now = layer.state_dict()
    problems = [f"{name}.{key} is not in the checkpoint" for key in now if key not in saved]
    problems += [f"{name}.{key} is not in the model" for key in saved if key not in now]
    for key, tensor in now.items():
        then = saved.get(key)
        if then is not None and tuple(then.shape) != tuple(tensor.shape):
            problems.append(f"{name}.{key} is {list(then.shape)} in the checkpoint, {list(tensor.shape)} in the model")
    refuse(problems)


def refuse(problems: List[str]) -> None:
    """Raises ResumeError with the first of these problems, if there are any."""
    if problems:
        more = f" and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        raise ResumeError(f"The checkpoint does not fit: {'; '.join(problems[:_MOST_PROBLEMS])}{more}. Nothing was loaded.")


def load_layer(layer: Any, saved: Mapping[str, Any]) -> None:
    """Loads what ``check_layer`` found to fit."""
    for key, tensor in layer.state_dict().items():
        tensor.set_value(saved[key])


def buffers_of(layer: Any) -> Dict[str, Array]:
    """Buffers that the layer does not save by itself, since its constructor makes them. Some change while it trains."""
    saved = set(layer.state_dict())
    return {str(name): array_of(tensor) for name, tensor in layer.named_buffers() if name not in saved and tensor is not None}


def mark_of(tensors: List[Any]) -> List[Any]:
    """Returns marks that differ once a tensor has changed: a digest of each small one, sums of each large one on its device."""
    marks: List[Any] = []
    for tensor in tensors:
        if int(tensor.size) <= _SMALL:
            marks.append(hashlib.blake2b(tensor.numpy().tobytes(), digest_size=8).hexdigest())
        else:
            wide = tensor.detach().astype("float64")
            marks.append((float(wide.sum()), float((wide * wide).sum())))
    return marks


def set_buffers(layer: Any, saved: Mapping[str, Any]) -> None:
    """Puts back what ``buffers_of`` gave, where it still fits."""
    for name, tensor in layer.named_buffers():
        if name in saved and tuple(saved[name].shape) == tuple(tensor.shape):
            tensor.set_value(saved[name])


class Plain:
    """A layer's own numbers and texts, apart from its parameters and the layers inside."""

    _layer: Any

    def __init__(self, layer: Any) -> None:
        object.__setattr__(self, "_layer", layer)

    @property
    def __dict__(self) -> Dict[str, Any]:  # type: ignore[override]
        own = vars(self._layer)
        return {key: value for key, value in own.items() if not key.startswith("_") and key != "training"}

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._layer, name, value)


def names_of(layers: Mapping[str, Any]) -> Dict[int, str]:
    """Returns the parameters of these layers, by id."""
    names: Dict[int, str] = {}
    for key, layer in layers.items():
        for name, parameter in getattr(layer, "_layers", layer).named_parameters():
            names.setdefault(id(parameter), f"{key}.{name}")
    return names


# ---- gradients ----


def gradients_of(parameters: Mapping[str, Any]) -> Dict[str, Any]:
    """Copies the gradients that are there. Paddle clears them to zero, and steps with a zero where it has one: those are named."""
    found: Dict[str, Any] = {"zero": [], "values": {}}
    for name, parameter in parameters.items():
        gradient = parameter.grad
        if gradient is None:
            continue
        if bool((gradient == 0).all()):
            found["zero"].append(name)
        else:
            found["values"][name] = array_of(gradient)
    return found


def set_gradients(parameters: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Puts back what ``gradients_of`` gave."""
    import paddle

    for name, parameter in parameters.items():
        is_zero = name in saved["zero"]
        if parameter.grad is not None:
            parameter.clear_gradient(False)
        if not is_zero and name not in saved["values"]:
            continue
        if is_zero:
            gradient = paddle.zeros_like(parameter).detach()
        else:
            gradient = paddle.to_tensor(saved["values"][name], dtype=parameter.dtype, place=parameter.place)
        if parameter.stop_gradient:
            parameter.grad = gradient
        else:
            # A gradient that is set is replaced by the next one: Paddle adds only to those that it has computed.
            (parameter * gradient).sum().backward()


def plain_state(state: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns a state of a scaler with its tensors as arrays."""
    return {key: array_of(value) if hasattr(value, "set_value") else value for key, value in state.items()}


# ---- optimizers ----


def inner_optimizer(optimizer: Any) -> Any:
    """Finds the optimizer inside of those that fleet wraps around it."""
    for _ in range(8):
        inner = getattr(optimizer, "_inner_opt", None)
        if inner is None:
            break
        optimizer = inner
    return optimizer


def parameters_of(optimizer: Any) -> List[Any]:
    """Returns all parameters of an optimizer in the order of its groups."""
    groups = optimizer._parameter_list or []
    return [one for group in groups for one in (group["params"] if isinstance(group, dict) else [group])]


def optimizer_state(optimizer: Any, names: Names, made_rate: Any) -> Dict[str, Any]:
    """Slots by parameter, master weights, the rate, and the schedule that drives it.

    Args:
        names: Names of the parameters that a tracked layer has; the others are known by their place.
        made_rate: The rate that the script made it with, where it is a number.

    Raises:
        TypeError: It keeps state that its slots do not show.
    """
    optimizer = inner_optimizer(optimizer)
    why = _why_unknown(optimizer)
    if why is not None:
        raise TypeError(why)
    keys = _keys(optimizer, names)
    slots: Dict[str, Dict[str, Array]] = {}
    masters = {}
    for key, parameter in keys.items():
        master = optimizer._master_weights.get(parameter.name)
        if master is not None:
            masters[key] = array_of(master)
        for slot, own in optimizer._accumulators.items():
            tensor = _slot_of(own, parameter, master)
            if tensor is not None:
                slots.setdefault(_plain_slot(optimizer, slot), {})[key] = array_of(tensor)
    rate = optimizer._learning_rate
    return {
        "class": type(optimizer).__name__,
        "shapes": {key: [int(size) for size in parameter.shape] for key, parameter in keys.items()},
        "slots": slots,
        "masters": masters,
        "rate": [float(rate), made_rate] if isinstance(rate, (int, float)) else None,
        "rate in force": _rate_in_force(optimizer) if isinstance(rate, (int, float)) else None,
        "schedule": schedule_state(rate) if is_schedule(rate) else None,
    }


def made_rate(optimizer: Any) -> Optional[float]:
    """Returns the rate as the script has made it; None for a schedule."""
    rate = getattr(inner_optimizer(optimizer), "_learning_rate", None)
    return float(rate) if isinstance(rate, (int, float)) else None


def check_optimizer(name: str, optimizer: Any, saved: Mapping[str, Any], names: Names) -> Dict[str, str]:
    """Finds for each parameter of this launch the one of the checkpoint whose slots it takes.

    Raises:
        ResumeError: It is another optimizer, or for other parameters. All that differs is named.
    """
    optimizer = inner_optimizer(optimizer)
    if type(optimizer).__name__ != saved["class"]:
        raise ResumeError(f"The checkpoint's {name} is {saved['class']}, this one {type(optimizer).__name__}. Nothing was loaded.")
    now, shapes = _keys(optimizer, names), saved["shapes"]
    if set(now) == set(shapes):
        pairs = {key: key for key in now}
    elif len(now) == len(shapes):
        # Layers were renamed: the order is all that is left to go by, where the shapes agree.
        pairs = dict(zip(now, shapes))
    else:
        gone, added = [key for key in shapes if key not in now], [key for key in now if key not in shapes]
        refuse([f"{name} had a parameter {key}" for key in gone] + [f"{name} has a new parameter {key}" for key in added])
        pairs = {}
    refuse(
        [
            f"the slots of {name} for {then} are for {list(shapes[then])}, and {key} is {list(now[key].shape)}"
            for key, then in pairs.items()
            if list(now[key].shape) != list(shapes[then])
        ]
    )
    return pairs


def load_optimizer(optimizer: Any, saved: Mapping[str, Any], names: Names, pairs: Mapping[str, str], rate_now: Optional[float]) -> None:
    """Loads what ``check_optimizer`` found to fit."""
    import paddle

    optimizer = inner_optimizer(optimizer)
    keys = _keys(optimizer, names)
    with_slots = {key for own in saved["slots"].values() for key in own}
    block = paddle.base.framework.default_main_program().global_block()
    # Paddle makes slots at the first step, under names that nobody can foretell.
    optimizer._create_accumulators(block, [parameter for key, parameter in keys.items() if pairs[key] in with_slots])
    for key, parameter in keys.items():
        master = optimizer._master_weights.get(parameter.name)
        if master is not None and pairs[key] in saved["masters"]:
            master.set_value(saved["masters"][pairs[key]])
        for slot, own in optimizer._accumulators.items():
            value = saved["slots"].get(_plain_slot(optimizer, slot), {}).get(pairs[key])
            tensor = _slot_of(own, parameter, master)
            if tensor is not None and value is not None:
                tensor.set_value(value)
    if saved["rate"] is not None and rate_now is not None and saved["rate"][0] != saved["rate"][1] and rate_now == saved["rate"][1]:
        optimizer.set_lr(saved["rate"][0])
        in_force = saved.get("rate in force")
        if in_force is not None and in_force != _single(saved["rate"][0]):
            # Paddle's ReduceLROnPlateau changes the number that is shown, and not the one that steps are made with.
            optimizer.set_lr(in_force)
            optimizer._create_global_learning_rate()
            optimizer._learning_rate = saved["rate"][0]
    if saved["schedule"] is not None and is_schedule(optimizer._learning_rate):
        load_schedule(optimizer._learning_rate, saved["schedule"])


def _rate_in_force(optimizer: Any) -> Optional[float]:
    variable = optimizer._global_learning_rate()
    in_force = float(variable.item()) if hasattr(variable, "item") else None
    # None where they agree, whether Paddle has made its variable yet or not.
    return in_force if in_force != _single(float(optimizer._learning_rate)) else None


def _single(number: float) -> float:
    """Rounds the number to what Paddle's variable of single precision holds."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _why_unknown(optimizer: Any) -> Optional[str]:
    own = type(optimizer).__module__
    if not own.startswith("paddle.optimizer.") or type(optimizer).__name__ == "LBFGS" or not hasattr(optimizer, "_accumulators"):
        return f"{type(optimizer).__name__} keeps a state of its own, which is not known here"
    return None


def _keys(optimizer: Any, names: Names) -> Dict[str, Any]:
    return {names.get(id(one), f"#{place}"): one for place, one in enumerate(parameters_of(optimizer))}


def _slot_of(own: Mapping[str, Any], parameter: Any, master: Any) -> Any:
    """Slots of half-precision parameters go by the name of their master weight."""
    by_master = own.get(master.name) if master is not None else None
    return by_master if by_master is not None else own.get(parameter.name)


def _plain_slot(optimizer: Any, slot: str) -> str:
    prefix = f"{optimizer._name}_"
    return slot[len(prefix) :] if optimizer._name and slot.startswith(prefix) else slot


# ---- schedules ----


def is_schedule(value: Any) -> bool:
    """Tells whether an optimizer's rate is one that moves."""
    return hasattr(value, "set_state_dict") and hasattr(value, "last_epoch") and hasattr(value, "get_lr")


def schedule_state(schedule: Any) -> Dict[str, Any]:
    """Copies what a schedule saves, and the numbers in it that move and that it does not save, of the schedules inside too."""
    own = {name: _kept(value) for name, value in vars(schedule).items() if _moves(schedule, name, value)}
    inner = {name: schedule_state(value) for name, value in vars(schedule).items() if is_schedule(value)}
    return {"own": own, "inner": inner}


def load_schedule(schedule: Any, saved: Mapping[str, Any]) -> None:
    """Puts back what ``schedule_state`` gave."""
    for name, value in saved["own"].items():
        if _moves(schedule, name, vars(schedule).get(name)):
            setattr(schedule, name, _plain(value))
    for name, value in saved["inner"].items():
        if is_schedule(getattr(schedule, name, None)):
            load_schedule(getattr(schedule, name), value)


def _moves(schedule: Any, name: str, value: Any) -> bool:
    """Tells what is counted from what the script made it with."""
    is_number = isinstance(value, _SCALARS) or type(value).__module__ == "numpy" or hasattr(value, "set_value")
    if not is_number or name == "verbose":
        return False
    # A plateau remembers the rate that it has come to under the name that it was given.
    return name not in _arguments(type(schedule)) or name in ("last_epoch", "last_lr")


def _arguments(kind: Any) -> Tuple[str, ...]:
    return tuple(inspect.signature(kind.__init__).parameters)


def _kept(value: Any) -> Any:
    """Copies a value of a schedule: a plateau compares with what it was given, which may be a tensor."""
    return plain_tensor(value) if hasattr(value, "set_value") else value


def _plain(value: Any) -> Any:
    own = tensor_of(value)
    if own is not None:
        return own
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value
