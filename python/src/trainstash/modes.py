"""The parts of a network and an optimizer that no ``state_dict`` has: which modules evaluate, which parameters are frozen, how the network
is built and the groups of the optimizer. A script that changes them while it trains does not do so again on a resume."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from .tracked import Loss, Tracked, is_model, is_optimizer
from .wrappers import plain_name

_REBUILT = "and a resume builds it without that; do it before init, where a resume does it again"
_NOT_TRACKED = "parameters of no tracked network were added to it while it trains, and a resume makes it without them"
_THIS_EPOCH = "a group of parameters was added to it in this epoch, and a resume from inside of the epoch may do that twice"
_BEFORE_LOOP = "a group of parameters was added to it between init and the loop; add it before init"


class _Mode(NamedTuple):
    """Modules that evaluate and parameters that are frozen, by their plain names."""

    evaluating: List[str]
    frozen: List[str]


class Modes:
    """The modes as they are now, beside those at the end of ``init``."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._modes: Dict[str, _Mode] = {}
        self._builds: Dict[str, List[Any]] = {}
        self._groups: Dict[str, int] = {}
        self._groups_of_loop: Optional[Dict[str, int]] = None
        self._groups_of_epoch: Optional[Dict[str, int]] = None

    def note(self) -> None:
        """Notes how the objects are which were not known yet, at the end of ``init`` and ``track``."""
        for name, value in self._models().items():
            if name not in self._builds:
                self._builds[name] = _build_of(value)
                self._modes[name] = _mode_of(value)
        self._groups = {**self._counts(), **self._groups}

    def loop_begins(self) -> None:
        """Notes the groups of the optimizers in the first round of the loop."""
        self._groups_of_loop = self._groups_of_loop or self._counts()

    def epoch_begins(self) -> None:
        self._groups_of_epoch = self._counts()

    def saved(self) -> Dict[str, Any]:
        """Returns the modes that are others than at the end of ``init``, for a checkpoint."""
        now = {name: _mode_of(value) for name, value in self._models().items()}
        return {name: mode._asdict() for name, mode in now.items() if mode != self._modes.get(name)}

    def put_back(self, saved: Mapping[str, Any]) -> None:
        """Sets the modes that a checkpoint has."""
        for name, value in self._models().items():
            if name not in saved:
                continue
            evaluating, frozen = set(saved[name]["evaluating"]), set(saved[name]["frozen"])
            for path, module in value.named_modules():
                module.training = plain_name(value, path) not in evaluating
            for path, parameter in value.named_parameters():
                is_trained = plain_name(value, path) not in frozen
                if parameter.is_leaf and parameter.requires_grad != is_trained and (parameter.is_floating_point() or parameter.is_complex()):
                    parameter.requires_grad_(is_trained)

    def lost(self, inside_epoch: bool) -> List[Tuple[Loss, bool]]:
        """Finds what a resume makes otherwise than it is now, each with whether a resume is refused for it."""
        found: List[Tuple[Loss, bool]] = []
        for name, value in self._models().items():
            changed = _first_change(self._builds.get(name), _build_of(value))
            if changed is not None:
                found.append((("weights", f"{name}{changed}", f"it was added, removed or replaced while the training runs, {_REBUILT}"), True))
        slots = self._tracked.slot_names()
        for name, count in self._counts().items():
            begun = self._groups.get(name, count)
            if count == begun:
                continue
            first = sum(len(group["params"]) for group in self._tracked.objects[name].param_groups[:begun])
            if None in slots[name][first:]:
                found.append((("optimizer", name, _NOT_TRACKED), True))
            elif (self._groups_of_loop or {}).get(name, begun) != begun:
                found.append((("optimizer", name, _BEFORE_LOOP), True))
            elif inside_epoch and (self._groups_of_epoch or {}).get(name, count) != count:
                found.append((("optimizer", name, _THIS_EPOCH), False))
        return found

    def _models(self) -> Dict[str, Any]:
        return {name: value for name, value in self._tracked.objects.items() if is_model(value) and hasattr(value, "named_modules")}

    def _counts(self) -> Dict[str, int]:
        return {name: len(value.param_groups) for name, value in self._tracked.objects.items() if is_optimizer(value)}


def _mode_of(model: Any) -> _Mode:
    evaluating = [plain_name(model, path) for path, module in model.named_modules() if not module.training]
    frozen = [plain_name(model, path) for path, parameter in model.named_parameters() if not parameter.requires_grad]
    return _Mode(evaluating, frozen)


def _build_of(model: Any) -> List[Any]:
    """Lists the modules, with what the script has put into one in the place of a method, and the parameters."""
    built: List[Any] = []
    for path, module in model.named_modules():
        methods = sorted(key for key, value in vars(module).items() if callable(value) and hasattr(type(module), key) and key[:1] != "_")
        # A lazy module becomes its plain form with the first batch.
        built.append((plain_name(model, path), type(module).__name__.replace("Lazy", ""), methods))
    return [*built, *((plain_name(model, path), "", []) for path, _ in model.named_parameters())]


def _first_change(before: Optional[List[Any]], now: List[Any]) -> Optional[str]:
    """Returns the path of the first part that is another, with a point before it; None: all are the same."""
    if before is None or before == now:
        return None
    for old, new in zip(before, now):
        if old != new:
            path = new[0] if new not in before else old[0]
            return f".{path}" if path else ""
    longer = now if len(now) > len(before) else before
    return f".{longer[min(len(now), len(before))][0]}"
