"""Gradients that a resume has to have: those that were computed and not yet used by an optimizer's step. Most trainings have
none at a checkpoint, and a copy of all gradients would be as large as the weights."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Set, Tuple

from .clearing import Look
from .tracked import is_model, is_optimizer
from .wrappers import plain_name

#: For each optimizer, a tuple for each of its watched parameters: its gradient as it is now, how often the gradient and the weight were
#: written, and the optimizer's own count.
Mark = List[List[Tuple[Any, int, int, Any]]]


class Gradients:
    """A watch over a few parameters of each optimizer. Nothing of the script's is changed or hooked.

    Each optimizer is judged by itself: one of several may step with each batch while another one gathers gradients.
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self._objects = objects
        #: Parameters of each optimizer that were the only ones with a gradient at some time: those of tasks that take turns.
        self._watched: Dict[str, List[Any]] = {}
        # How often each weight was written when the loop was entered, until the first step.
        self._at_begin: Dict[int, Tuple[int, Any]] = {}
        # The mark at the newest `run.step`, and the optimizers that had stepped since the one before.
        self._at_step: Mark = []
        self._stepped: Set[int] = set()
        # Optimizers whose gradients, each of them, the script was seen to clear between two steps.
        self._given_up: Set[int] = set()
        # Optimizers of which it was seen to leave some, and looks whose ends are still to come.
        self._add_up: Set[int] = set()
        self._looks: Dict[int, Look] = {}
        # Optimizers that were looked at when the checkpoint was taken that a resume begins with.
        self._looked_at: Set[int] = set()
        # Optimizers whose gradients the newest checkpoint is without.
        self._left_out: Set[int] = set()
        #: True: the script clears gradients in some steps and not in others, so that no look at one step tells of the next.
        self.clears_now_and_then = False
        #: True: the newest checkpoint is without gradients that the script did not clear afterwards.
        self.has_missed = False

    def memory(self) -> Dict[str, List[int]]:
        """Returns what was seen of each optimizer, by its place: a resume goes on with that, and keeps and leaves out the same."""
        return {"given up": sorted(self._given_up), "add up": sorted(self._add_up), "looked at": sorted(set(self._looks) - self._given_up)}

    def remember(self, saved: Any) -> None:
        """Takes over what a checkpoint says. An older one has a truth value: that all were given up."""
        everyone = set(range(len(self._owners())))
        known: Mapping[str, Iterable[int]] = saved if isinstance(saved, dict) else {"given up": everyone if saved else ()}
        self._given_up = everyone & set(known.get("given up", ()))
        self._add_up = everyone & set(known.get("add up", ()))
        self._looked_at = everyone & set(known.get("looked at", ()))

    def begin(self) -> None:
        """Notes how often the weights were written before the loop, so that its first step can be told from a first part of one."""
        if not self._at_step:
            pairs = ((one, owner) for owner in self._owners().values() for one in _parameters_of(owner))
            self._at_begin = {id(one): _written(one, owner) for one, owner in pairs}
            self._look(self._looked_at)

    def mark(self) -> Mark:
        """Returns a mark that tells later whether something was computed since."""
        return [[_mark_of(one, owner) for one in self._watch(key, owner)] for key, owner in self._owners().items()]

    def stepped(self) -> None:
        """Notes that ``run.step`` was called: normally right after the optimizer's step."""
        if not self._objects:
            return
        now = self.mark()
        before = self._at_step or self._mark_at_begin()
        pairs = list(enumerate(zip(before, now))) if len(before) == len(now) else []
        # Where nothing is known from before, the gradients are kept: too many are exact, too few are not.
        self._stepped = {i for i, (old, new) in pairs if any(one[2:] != other[2:] for one, other in zip(old, new))}
        self._at_step, self._at_begin = now, {}
        self._judge()
        self._look(self._stepped - self._given_up - self._add_up)

    def _look(self, which: Set[int]) -> None:
        owners = list(self._owners().values())
        looks = {i: Look(_parameters_of(owners[i]), _version) for i in which if i < len(owners) and i not in self._looks}
        self._looks.update({i: look for i, look in looks.items() if look})

    def _judge(self) -> None:
        """Ends the looks that were begun at the step before."""
        self._looks, looks = {}, self._looks
        for i, look in looks.items():
            cleared = look.were_cleared()
            if cleared is None:
                self._looks[i] = look  # Of another task, say: its turn is still to come.
                continue
            if cleared:
                self._given_up.add(i)
            else:
                self._given_up.discard(i)
                self._add_up.add(i)
                self.has_missed = self.has_missed or i in self._left_out
            self._left_out.discard(i)

    def _mark_at_begin(self) -> Mark:
        known = self._at_begin
        watched = [self._watched.get(key, []) for key in self._owners()]
        return [[(None, 0, *known[id(one)]) for one in each] if all(id(one) in known for one in each) else [] for each in watched]

    def are_left_over(self) -> bool:
        """Tells whether the next step will add to the gradients that are there now."""
        return bool(self._left_over() or self._without_optimizer())

    def _left_over(self) -> List[Any]:
        """Finds the optimizers, or without any the models, whose gradients are left over."""
        now, owners = self.mark(), list(self._owners().values())
        at_step = self._at_step if len(self._at_step) == len(now) else [[] for _ in now]
        left = []
        for i, (owner, one) in enumerate(zip(owners, now)):
            # A step has used the others: they are dead, unless the script never clears them.
            is_dead = i in self._given_up and not self.clears_now_and_then
            is_used = i in self._stepped and _is_same(one, at_step[i])
            if any(part[0] is not None for part in one) and not (is_used and is_dead):
                left.append(owner)
        return left

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
        self._looks = {}  # They would take what is replaced here for cleared.
        parameters = self._parameters()
        for name, parameter in parameters.items():
            gradient = saved.get(name)
            parameter.grad = gradient.to(parameter.device, copy=True) if gradient is not None else None
        return [name for name in saved if name not in parameters]

    def were_left_out(self) -> None:
        """Notes that a checkpoint was taken: whether it could do without the gradients that it lacks shows at the next step."""
        left = self._left_over()
        self._left_out = {i for i, owner in enumerate(self._owners().values()) if not any(owner is one for one in left)}
        for i in self._left_out:
            self._looks.pop(i, None)
        self._look(self._left_out)

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

    def _watch(self, key: str, owner: Any) -> List[Any]:
        """Returns the watched parameters. Adds one if none of them has a gradient: idle ones tell nothing."""
        watched = self._watched.setdefault(key, [])
        if not any(one.grad is not None for one in watched):
            trained = [one for one in _parameters_of(owner) if one.grad is not None]
            if trained:
                # The smallest: a mark holds its gradient until the next one.
                watched.append(min(trained, key=lambda one: int(one.numel())))
        return watched


def _parameters_of(owner: Any) -> List[Any]:
    return list(owner.parameters()) if is_model(owner) else [one for group in owner.param_groups for one in group["params"]]


def _mark_of(parameter: Any, owner: Any) -> Tuple[Any, int, int, Any]:
    gradient = parameter.grad
    return (gradient, _version(gradient), *_written(parameter, owner))


def _written(parameter: Any, owner: Any) -> Tuple[int, Any]:
    """Returns how often a weight was written, and the optimizer's own count: a fused step does not count as a write."""
    slots = owner.state.get(parameter) if is_optimizer(owner) else None
    count = slots.get("step") if slots else None
    return _version(parameter), _version(count) if hasattr(count, "_version") else count


def _same(now: Mark, before: Mark) -> bool:
    return len(now) == len(before) and all(map(_is_same, now, before))


def _is_same(now: Sequence[Tuple[Any, int, int, Any]], before: Sequence[Tuple[Any, int, int, Any]]) -> bool:
    """Tells whether an optimizer's weights are as they were, and its gradients as they were or cleared."""
    return all(map(_is_as_before, now, before)) and all(one[0] is None for one in now[len(before) :])


def _is_as_before(now: Tuple[Any, int, int, Any], before: Tuple[Any, int, int, Any]) -> bool:
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
