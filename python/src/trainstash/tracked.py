"""The objects of a training: their state out, and in again without a surprise."""

from __future__ import annotations

import random
import sys
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from . import ResumeError, foreign, generators, options, special
from .adopted import Adopted, adopt
from .loading import (
    check_model,
    check_optimizer,
    check_schedule,
    grow_groups,
    load_model,
    load_optimizer,
    load_schedule,
)
from .stateful import is_stateful
from .wrappers import plain_name, plain_state, unwrap

# Parts of what a checkpoint says of the run, by the kind of ingredient that they are.
_OWN = {"vars": "loop", "state": "loop", "rng": "random", "rng_epoch": "random", "rng_begin": "random", "loaders": "data", "gradients": "gradients"}

#: A part that a resume could not put back: its kind, its place such as "model.fc.weight", and a reason.
Loss = Tuple[str, str, str]


def is_optimizer(value: Any) -> bool:
    return hasattr(value, "param_groups") and hasattr(value, "load_state_dict")


def is_scheduler(value: Any) -> bool:
    return hasattr(value, "load_state_dict") and not is_optimizer(value) and (hasattr(value, "last_epoch") or hasattr(value, "get_last_lr"))


def is_model(value: Any) -> bool:
    return hasattr(value, "named_parameters") and hasattr(value, "load_state_dict")


def is_scaler(value: Any) -> bool:
    return hasattr(value, "load_state_dict") and hasattr(value, "get_scale") and hasattr(value, "is_enabled")


class Tracked:
    """The objects that were given to ``init`` and ``track``, by name."""

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self.objects: Dict[str, Any] = {}
        # The options that this launch made each optimizer with.
        self._options: Dict[str, List[Dict[str, Any]]] = {}
        self._made_then: Dict[str, List[Dict[str, Any]]] = {}
        self._changed: List[str] = []
        self.add(objects)

    def add(self, objects: Mapping[str, Any]) -> None:
        """Tracks more objects.

        Raises:
            TypeError: One has no state, or one that cannot be copied; the text says what to do instead.
            ValueError: One has a name that is taken.
        """
        for name, value in objects.items():
            if name == "trainstash":
                raise ValueError('"trainstash" is the name of what a checkpoint says of the run; call it something else')
            if value is None:
                continue
            own = adopt(value, self.objects)
            if own is not None:
                self.objects[name] = own
                continue
            foreign.refuse(name, value)
            if not _has_state(value):
                raise TypeError(
                    f"{name} ({type(value).__name__}) has no state_dict() and load_state_dict(), and is no random generator, "
                    "tensor or dict of tensors; plain values go into run.vars"
                )
            self.objects[name] = unwrap(value)
            if is_optimizer(value):
                self._options[name] = options.of(value)

    @property
    def is_of_arrays(self) -> bool:
        """Tells whether there are objects of another framework than torch, whose arrays make the file."""
        return any(isinstance(value, Adopted) for value in self.objects.values())

    def state(self) -> Dict[str, Any]:
        """Collects the live tensors of all objects that can say theirs."""
        states = {}
        for name, value in self.objects.items():
            try:
                states[name] = state_of(value)
            except Exception:
                continue  # It is named with each checkpoint.
        return states

    def is_sharded(self) -> bool:
        """Tells whether processes have parts of the parameters, and not all of them each."""
        models = (value for value in self.objects.values() if is_model(value))
        return any(special.is_sharded(parameter) for model in models for _, parameter in _parameters_of(model))

    def kind_of(self, place: str) -> str:
        """Returns the kind of ingredient that a place such as "model.fc.weight" belongs to."""
        from .kinds import kind_of

        name, _, rest = place.partition(".")
        if name == "trainstash":
            return _OWN.get(rest.partition(".")[0].partition("[")[0], "other")
        return kind_of(self.objects.get(name.partition("[")[0]))

    def is_vital(self, place: str) -> bool:
        """Tells whether nothing can be resumed without what is at this place: a model, an optimizer or a parameter."""
        name, _, rest = place.partition(".")
        value: Any = self.objects.get(name)
        if isinstance(value, Adopted):
            return value.is_vital
        if not is_model(value):
            return not rest and is_optimizer(value)
        try:
            return not rest or any(plain_name(value, key) == rest for key, _ in value.named_parameters())
        except Exception:
            return True

    def slot_names(self) -> Dict[str, List[Optional[str]]]:
        """Lists, for each optimizer, the names of its parameters in the order of its slots; None where no model has it."""
        names: Dict[int, str] = {}
        for key, value in self.objects.items():
            if is_model(value):
                for name, parameter in _parameters_of(value):
                    names.setdefault(id(parameter), f"{key}.{plain_name(value, name)}")
        return {
            key: [names.get(id(parameter)) for group in value.param_groups for parameter in group["params"]]
            for key, value in self.objects.items()
            if is_optimizer(value)
        }

    def made_with(self) -> Dict[str, List[Dict[str, Any]]]:
        """Returns, for each optimizer, the options of its groups as the script made them; for a checkpoint."""
        return self._options

    def restore(
        self,
        saved: Mapping[str, Any],
        slots: Mapping[str, List[Optional[str]]],
        schedule: Optional[str],
        names: Optional[List[str]] = None,
    ) -> List[Loss]:
        """Loads what ``state()`` gave into the objects of these names, or into all. Returns what could not be put back.

        Raises:
            ResumeError: Weights or optimizer state do not fit. Nothing was changed.
        """
        objects = {name: value for name, value in self.objects.items() if names is None or name in names}
        own: Mapping[str, Any] = saved.get("trainstash") or {}
        self._refuse_missing(objects, saved)
        missing = _Missing(self)
        for name in objects:
            if name not in saved:
                missing.note(name, "it was not in the checkpoint")
        present = {name: value for name, value in objects.items() if name in saved}
        models = {name: value for name, value in self.objects.items() if is_model(value)}
        for name, value in present.items():
            if is_optimizer(value) and not isinstance(value, Adopted):
                grow_groups(value, saved[name], slots.get(name), models)
        plans = self._check(present, saved, slots, schedule, set(own.get("lost") or ()))
        for name, value in present.items():
            self._load(name, value, saved[name], plans.get(name), schedule, missing)
        self._made_then = {**self._made_then, **(own.get("made with") or {})}
        return missing.losses

    def apply_options(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
        """Puts options of the optimizers in force that are other hyper-parameters now.

        Returns:
            What was done or could not be done, a sentence without a full stop for each.
        """
        optimizers = {name: value for name, value in self.objects.items() if is_optimizer(value)}
        schedules = {name: value for name, value in self.objects.items() if is_scheduler(value)}
        self._changed = options.changed(before, now)
        return options.apply(before, now, optimizers, schedules)

    def differences(self) -> List[Loss]:
        """Lists what the script makes otherwise than when the checkpoint was taken, and what goes on as it was.

        To be asked once, after ``restore`` and ``apply_options``.
        """
        missing = _Missing(self)
        for name, why in options.differences(self._made_then, self._options, self.objects, self._changed):
            missing.note(name, why)
        return missing.losses

    def _refuse_missing(self, objects: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
        serious = [name for name, value in objects.items() if name not in saved and _is_serious(value)]
        if serious:
            raise ResumeError(
                f"The checkpoint has no {', '.join(serious)}; it has {', '.join(k for k in saved if k != 'trainstash')}. "
                "Nothing was loaded. Give init() the same names as the run had."
            )

    def _check(
        self, objects: Mapping[str, Any], saved: Mapping[str, Any], slots: Mapping[str, Any], schedule: Optional[str], lost: Set[str]
    ) -> Dict[str, Any]:
        plans: Dict[str, Any] = {}
        for name, value in objects.items():
            if isinstance(value, Adopted):
                value.check(name, saved[name])
            elif is_model(value):
                plans[name] = check_model(name, value, saved[name], lost)
            elif is_optimizer(value):
                plans[name] = check_optimizer(name, value, saved[name], slots.get(name), self.slot_names()[name])
            elif is_scheduler(value):
                check_schedule(name, value, saved[name], schedule)
        return plans

    def _load(self, name: str, value: Any, saved: Any, plan: Any, schedule: Optional[str], missing: _Missing) -> None:
        try:
            if is_model(value):
                load_model(value, plan)
                for left in plan.left:
                    missing.note(f"{name}.{left}", "it could not be kept when the checkpoint was taken")
            elif is_optimizer(value):
                load_optimizer(value, saved, plan)
            elif is_scheduler(value):
                load_schedule(value, saved, schedule)
            elif is_scaler(value) and bool(saved) != value.is_enabled():
                then, now = ("enabled", "disabled") if saved else ("disabled", "enabled")
                missing.note(name, f"it was {then} when the checkpoint was taken, and is {now} now")
            else:
                _load_other(value, saved)
        except Exception as error:
            if _is_serious(value):
                raise ResumeError(f"{name} cannot be loaded: {special.short(error)}") from error
            missing.note(name, special.short(error))


class _Missing:
    """The parts that a restore could not put back."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self.losses: List[Loss] = []

    def note(self, place: str, why: str) -> None:
        self.losses.append((self._tracked.kind_of(place), place, why))


def _is_serious(value: Any) -> bool:
    return is_model(value) or is_optimizer(value) or (isinstance(value, Adopted) and value.is_vital)


def _has_state(value: Any) -> bool:
    if is_stateful(value):
        return True
    return special.is_generator(value) or hasattr(value, "bit_generator") or _is_tensors(value)


def _is_tensors(value: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    if isinstance(value, torch.Tensor):
        return True
    return isinstance(value, dict) and all(isinstance(item, torch.Tensor) for item in value.values())


def state_of(value: Any) -> Any:
    """Returns an object's live state, and raises what the object raises. A model's names are those of its plain form."""
    if is_model(value):
        return plain_state(value, value.state_dict())
    if hasattr(value, "state_dict"):
        return value.state_dict()
    if _is_tensors(value):
        return value
    return generators.state_of(value)


def _parameters_of(model: Any) -> List[Tuple[str, Any]]:
    try:
        return list(model.named_parameters())
    except Exception:
        # A class of the user's; its optimizer is then known by positions alone.
        return []


def _load_other(value: Any, saved: Any) -> None:
    if hasattr(value, "load_state_dict"):
        value.load_state_dict(saved)
    elif isinstance(value, random.Random) or not _is_tensors(value):
        generators.set_state(value, saved)
    else:
        _load_tensors(value, saved)


def _load_tensors(value: Any, saved: Any) -> None:
    torch: Any = sys.modules["torch"]
    with torch.no_grad():
        if not isinstance(value, dict):
            value.copy_(saved)
            return
        for key, tensor in saved.items():
            if key in value and value[key].shape == tensor.shape:
                value[key].copy_(tensor)
            else:
                value[key] = tensor
        for key in [key for key in value if key not in saved]:
            del value[key]
