"""A new learning rate for a run that goes on: it scales the whole schedule, and is checked against what the optimizer will
be given; a schedule that does not follow is left as it was, and named."""

from __future__ import annotations

import copy
import time
import warnings
import weakref
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

_GROUP_KEYS = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr")
_ATTRIBUTES = ("base_lrs", "max_lrs", "min_lrs", "base_lr", "max_lr", "min_lr", "default_min_lr", "eta_min", "swa_lr", "base_values", "_last_lr")
_FORECAST_STEPS = 500
_FORECAST_SECONDS = 0.2
_TOLERANCE = 1e-5
# Below this share of the largest rate, rounding and the least steps of schedules show.
_TINY = 1e-6
_Forecast = List[Tuple[float, ...]]


def change_rate(optimizers: Mapping[str, Any], schedules: Mapping[str, Any], old: Any, new: Any) -> Optional[str]:
    """Multiplies every rate of the optimizers, present and to come, by ``new / old``.

    Args:
        optimizers, schedules: By the names that the user gave them, restored already.
        old: The learning rate of the run so far, the hyper-parameter.
        new: The one of this launch.

    Returns:
        None when it is so; else why not, as a clause, and nothing was changed.
    """
    if not _is_number(old) or not _is_number(new) or old == 0:
        return f"{old!r} cannot be scaled to {new!r}"
    every = [part for schedule in schedules.values() for part in _parts(schedule)]
    before = {name: _forecasts(schedule, optimizers) for name, schedule in schedules.items()}
    undo = _Undo(list(optimizers.values()), every)
    scale = _Scale(float(old), float(new))
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            scale.group(group)
    for part in every:
        scale.attributes(part)
    for name, schedule in schedules.items():
        if not _follows(before[name], _forecasts(schedule, optimizers), float(new) / float(old)):
            undo.all()
            return f"{name} ({type(schedule).__name__}) sets its rates in a way of its own"
    return None


class _Scale:
    def __init__(self, old: float, new: float) -> None:
        self._old = old
        self._new = new
        self._factor = new / old

    def group(self, group: Dict[str, Any]) -> None:
        for key in _GROUP_KEYS:
            value: Any = group.get(key)
            if key == "lr" and hasattr(value, "fill_"):
                # Written in place: a compiled optimizer knows this tensor.
                value.copy_(self._of(value))
            elif value is not None:
                group[key] = self._of(value)

    def attributes(self, schedule: Any) -> None:
        for name in _ATTRIBUTES:
            value = vars(schedule).get(name)
            if isinstance(value, (list, tuple)):
                setattr(schedule, name, type(value)(self._of(one) for one in value))
            elif value is not None:
                setattr(schedule, name, self._of(value))

    def _of(self, value: Any) -> Any:
        if hasattr(value, "fill_"):
            same = value == value.new_tensor(self._old)
            return value.new_tensor(self._new).expand_as(value).clone() if bool(same.all()) else value * self._factor
        if not _is_number(value):
            return value
        # Not `old * factor`, whose last bit may be another.
        return self._new if value == self._old else value * self._factor


class _Undo:
    def __init__(self, optimizers: List[Any], schedules: List[Any]) -> None:
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._groups = [(group, {key: _copied(group[key]) for key in _GROUP_KEYS if key in group}) for group in groups]
        self._schedules = [(one, {name: vars(one)[name] for name in _ATTRIBUTES if name in vars(one)}) for one in schedules]

    def all(self) -> None:
        for group, kept in self._groups:
            for key, value in kept.items():
                if key == "lr" and hasattr(group[key], "fill_"):
                    group[key].copy_(value)
                else:
                    group[key] = value
        for schedule, kept in self._schedules:
            for name, value in kept.items():
                setattr(schedule, name, value)


def _parts(schedule: Any) -> Iterator[Any]:
    """Yields a schedule and those that it is made of."""
    inner = getattr(schedule, "scheduler", None)
    if inner is not None and hasattr(inner, "step"):
        yield from _parts(inner)
        return
    yield schedule
    for value in list(vars(schedule).values()):
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if hasattr(one, "step") and hasattr(one, "optimizer") and not hasattr(one, "param_groups"):
                yield from _parts(one)


def _forecasts(schedule: Any, optimizers: Mapping[str, Any]) -> List[_Forecast]:
    """Forecasts the rates to come, of the schedule and of each of its parts alone: a later part may be far away."""
    return [_forecast(part, optimizers) for part in _parts(schedule)]


def _forecast(schedule: Any, optimizers: Mapping[str, Any]) -> _Forecast:
    """Forecasts the rates of each group after each of the next steps, on paper."""
    paper: Dict[int, Any] = {}
    for optimizer in [getattr(schedule, "optimizer", None), *optimizers.values()]:
        if optimizer is not None:
            paper[id(optimizer)] = _Paper(optimizer)
    own = paper.get(id(getattr(schedule, "optimizer", None)))
    if own is None:
        return []
    rates: _Forecast = []
    until = time.monotonic() + _FORECAST_SECONDS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drawn = copy.deepcopy(schedule, {**paper, **_weak(schedule)})
            while len(rates) < _FORECAST_STEPS and time.monotonic() < until:
                _step(drawn, len(rates))
                rates.append(tuple(float(group["lr"]) for group in own.param_groups))
        except Exception:
            # A schedule of a length ends, and one that cannot be copied has no forecast.
            return rates
    return rates


def _weak(schedule: Any) -> Dict[int, Any]:
    """Finds what `deepcopy` cannot copy and need not: torch 1 keeps the shape of a cycle as a weak method."""
    values = [value for part in _parts(schedule) for value in vars(part).values()]
    return {id(value): value for value in values if isinstance(value, weakref.ReferenceType)}


def _step(schedule: Any, number: int) -> None:
    try:
        schedule.step()
    except TypeError:
        # Schedules that look at a metric: one that gets worse makes them act.
        schedule.step(float(number))


class _Paper:
    """An optimizer without parameters, for a schedule to write its rates to."""

    def __init__(self, optimizer: Any) -> None:
        self.param_groups = [{key: _copied(value) for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        self.defaults = dict(getattr(optimizer, "defaults", {}))
        self.state: Dict[Any, Any] = {}
        self._step_count = 1

    def step(self) -> None:
        return None


def _follows(before: List[_Forecast], after: List[_Forecast], factor: float) -> bool:
    """Tells whether each rate is what it was before, times the factor."""
    if not any(before):
        return False
    for then, now in zip(before, after):
        if then and not now:
            return False
        largest = max((abs(rate) for rates in then for rate in rates), default=0.0)
        # Forecasts that the clock cut short are compared as far as both go.
        for one, other in zip(then, now):
            for rate, scaled in zip(one, other):
                if abs(rate) > _TINY * largest and abs(scaled - rate * factor) > _TOLERANCE * abs(rate * factor):
                    return False
    return True


def _copied(value: Any) -> Any:
    return value.detach().clone() if hasattr(value, "fill_") else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
