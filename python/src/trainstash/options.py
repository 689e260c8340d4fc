"""Options of optimizers: what a script made them with, then and now, and those that a launch means to change."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Tuple

from .rates import change_rate

# Hyper-parameters that a user changes on a resume and means to take effect.
_CHANGED = {"lr": "lr", "learning_rate": "lr", "weight_decay": "weight_decay", "momentum": "momentum", "betas": "betas", "eps": "eps"}
_PLAIN = (int, float, str, bool, type(None))
# Options that schedules write, and have written already when an optimizer is looked at.
_OF_SCHEDULES = ("params", "param_names", "max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum", "lr", "initial_lr")


def of(optimizer: Any) -> List[Dict[str, Any]]:
    """Returns the plain options of each group of an optimizer that was just made."""
    made = []
    for group in optimizer.param_groups:
        options = {str(key): _plain(value) for key, value in group.items() if key not in _OF_SCHEDULES and _is_plain(value)}
        rate = group.get("initial_lr", group.get("lr"))
        made.append({**options, "lr": float(rate)} if isinstance(rate, (int, float)) or hasattr(rate, "fill_") else options)
    return made


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """Lists the options whose hyper-parameters are others now."""
    return [option for key, option in _CHANGED.items() if key in before and key in now and before[key] != now[key]]


def differences(
    then: Mapping[str, List[Dict[str, Any]]], now: Mapping[str, List[Dict[str, Any]]], objects: Mapping[str, Any], meant: List[str]
) -> Iterator[Tuple[str, str]]:
    """Options that the script gives another value than when the checkpoint was taken, where the checkpoint's goes on.

    Args:
        then, now: What ``of`` said in the launch of the checkpoint and in this one.
        objects: The optimizers.
        meant: Options that were changed on purpose.

    Yields:
        The name of the optimizer, and a clause.
    """
    for name, groups in now.items():
        if name not in objects:
            continue
        for number, (before, made) in enumerate(zip(then.get(name) or [], groups)):
            where = f" in group {number}" if len(groups) > 1 else ""
            for key in made:
                if key in before and before[key] != made[key] and key not in meant:
                    yield name, f"the script makes it with {key}={made[key]!r}{where}; the checkpoint's {before[key]!r} goes on"


def apply(
    before: Mapping[str, Any], now: Mapping[str, Any], optimizers: Mapping[str, Any], schedules: Mapping[str, Any]
) -> List[str]:
    """Puts hyper-parameters in force that are others than in the checkpoint.

    Args:
        before, now: The hyper-parameters then and now.

    Returns:
        What was done or could not be done, a sentence without a full stop for each.
    """
    done = []
    for key, option in _CHANGED.items():
        if key not in before or key not in now or before[key] == now[key]:
            continue
        old, new = before[key], now[key]
        if not any(option in group for optimizer in optimizers.values() for group in optimizer.param_groups):
            continue
        if option == "lr":
            why = change_rate(optimizers, schedules, old, new)
            done.append(
                f"{key} is {new} from here on (it was {old})" if why is None else f"{key} stays {old} and is not {new}: {why}"
            )
        elif sum(_set(optimizer, option, old, new) for optimizer in optimizers.values()):
            done.append(f"{key} is {new} from here on (it was {old})")
        else:
            done.append(f"{key} stays as it was and is not {new}: no group of an optimizer has {old}, as one that a schedule moves")
    return done


def _set(optimizer: Any, option: str, old: Any, new: Any) -> bool:
    touched = False
    for group in optimizer.param_groups:
        if option in group and _plain(group[option]) == _plain(old):
            group[option] = tuple(new) if isinstance(new, list) else new
            touched = True
    return touched


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, (list, tuple)) and all(isinstance(one, _PLAIN) for one in value))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
