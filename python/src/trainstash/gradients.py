"""Gradients that a resume has to have: those that were computed and not yet used by an optimizer's step. Most trainings have
none at a checkpoint, and a copy of all gradients would be as large as the weights."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from .tracked import is_model, is_optimizer
from .wrappers import plain_name

#: A tuple for each optimizer: a gradient as it is now, how often it and its weight were written, and the optimizer's own count.
Mark = List[Tuple[Any, int, int, Any]]


class Gradients:
    """A watch over one parameter of each optimizer. Nothing of the script's is changed or hooked."""

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self._objects = objects
        self._watched: Dict[str, Any] = {}
        # The mark at the newest `run.step`, and whether an optimizer had stepped since the one before.
        self._at_step: Mark = []
        self._did_step = True
        #: True: the script was seen to give up its gradients between two steps.
        self.are_given_up = False
        #: True: the script's text has something that clears gradients; None: it cannot be read.
        self.script_clears: Optional[bool] = None

    def mark(self) -> Mark:
        """Returns a mark that tells later whether something was computed since."""
        watched = self._owners()
        return [_mark_of(self._parameter(key, watched[key]), watched[key] if is_optimizer(watched[key]) else None) for key in watched]

    def stepped(self) -> None:
        """Notes that ``run.step`` was called: normally right after the optimizer's step."""
        before, now = self._at_step, self.mark()
        self._did_step = [one[2:] for one in before] != [one[2:] for one in now]
        if not self.are_given_up and len(before) == len(now):
            self.are_given_up = any(old[0] is not None and old[0] is not new[0] for old, new in zip(before, now))
        self._at_step = now

    def are_left_over(self) -> bool:
        """Tells whether the next step will add to the gradients that are there now."""
        return bool(self._left_over() or self._without_optimizer())

    def _left_over(self) -> List[Any]:
        """Finds the optimizers, or without any the models, whose gradients are left over."""
        now, owners = self.mark(), list(self._owners().values())
        if len(now) != len(self._at_step) or not self._did_step:
            used = [False] * len(now)
        else:
            used = list(map(_is_same, now, self._at_step))
        # A step has used the others: they are dead, unless the script never clears them.
        dead = self.are_given_up or self.script_clears
        return [owner for owner, one, is_used in zip(owners, now, used) if one[0] is not None and not (is_used and dead)]

    def were_touched_since(self, mark: Mark) -> bool:
        return not _same(self.mark(), mark)

    def were_touched_since_step(self) -> bool:
        return not _same(self.mark(), self._at_step)

    def live(self) -> Dict[str, Any]:
        """Returns the gradients that are left over, by the names of their parameters. Of several optimizers one may have used
        its own already."""
        left = self._left_over()
        some = bool(left or self._without_optimizer())
        used = [owner for owner in self._owners().values() if some and is_optimizer(owner) and not any(owner is one for one in left)]
        dead = {id(parameter) for owner in used for group in owner.param_groups for parameter in group["params"]}
        all_of_them = self._parameters().items()
        return {name: one.grad for name, one in all_of_them if one.grad is not None and id(one) not in dead}

    def put_back(self, saved: Mapping[str, Any]) -> List[str]:
        """Returns names of parameters that are not there any more."""
        parameters = self._parameters()
        for name, parameter in parameters.items():
            gradient = saved.get(name)
            parameter.grad = gradient.to(parameter.device, copy=True) if gradient is not None else None
        return [name for name in saved if name not in parameters]

    def _without_optimizer(self) -> List[Any]:
        """Parameters with a gradient that no optimizer uses or clears: they add up, and count where gradients are clipped."""
        optimizers = [value for value in self._objects.values() if is_optimizer(value)]
        owned = {id(one) for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]}
        with_gradient = [one for one in self._parameters().values() if one.grad is not None] if optimizers else []
        return [one for one in with_gradient if id(one) not in owned]

    def _owners(self) -> Dict[str, Any]:
        """Returns the optimizers by their names; without any, the models."""
        found = {key: value for key, value in self._objects.items() if is_optimizer(value)}
        return found or {key: value for key, value in self._objects.items() if is_model(value)}

    def _parameters(self) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        known = set()
        for key, value in self._objects.items():
            if is_model(value):
                for name, parameter in value.named_parameters():
                    if id(parameter) not in known:
                        known.add(id(parameter))
                        found[f"{key}.{plain_name(value, name)}"] = parameter
        for key, value in self._objects.items():
            if is_optimizer(value):
                for i, parameter in enumerate(p for group in value.param_groups for p in group["params"]):
                    if id(parameter) not in known:
                        known.add(id(parameter))
                        found[f"{key}[{i}]"] = parameter
        return found

    def _parameter(self, key: str, value: Any) -> Any:
        """Finds a parameter that is trained: idle ones tell nothing."""
        watched = self._watched.get(key)
        if watched is None or watched.grad is None:
            candidates = value.parameters() if is_model(value) else (p for group in value.param_groups for p in group["params"])
            trained = [one for one in candidates if one.grad is not None]
            if trained:
                # The smallest: a mark holds its gradient until the next one.
                watched = self._watched[key] = min(trained, key=lambda one: int(one.numel()))
        return watched


def _mark_of(parameter: Any, optimizer: Any) -> Tuple[Any, int, int, Any]:
    if parameter is None:
        return (None, 0, 0, None)
    gradient = parameter.grad
    # A fused step does not count as a write of the weight.
    slots = optimizer.state.get(parameter) if optimizer is not None else None
    count = slots.get("step") if slots else None
    return (gradient, _version(gradient), _version(parameter), _version(count) if hasattr(count, "_version") else count)


def _same(now: Mark, before: Mark) -> bool:
    return len(now) == len(before) and all(map(_is_same, now, before))


def _is_same(now: Tuple[Any, int, int, Any], before: Tuple[Any, int, int, Any]) -> bool:
    """Weights as they were, and gradients as they were or cleared."""
    if now[2:] != before[2:]:
        return False
    if now[0] is None or (now[0] is before[0] and now[1] == before[1]):
        return True
    # Only this process's part of a sharded gradient is looked at: the others may not be here.
    gradient = now[0].to_local() if hasattr(now[0], "to_local") else now[0]
    return not bool(gradient.any())


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version) if tensor is not None else 0
    except RuntimeError:
        return 0  # Tensors of inference mode count nothing.
