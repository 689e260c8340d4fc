"""The parts of networks, optimizers and schedules of torch that their ``state_dict`` leaves out."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, Set, Tuple

from .array_marks import is_tensor
from .own_attributes import is_users_class
from .told_state import is_made_once

#: Attributes of a library's objects that hold what a script gave them.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_OPTIMIZERS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
_HOOKS_OF_TENSORS = ("_backward_hooks", "_post_accumulate_grad_hooks")
# Values that a network of a library may count in, and those that one of the script may.
_NUMBERS = (bool, int, float)
_COUNTS = (bool, int, float, list, dict)
_SCALARS = (bool, int, float, complex, str, bytes, range, type(None))

# Attributes that compilers and wrappers put on networks while they run.
_OF_WRAPPERS = ("_compile", "_ddp", "_dynamo", "_fsdp", "_is_", "_orig_mod")

_Parts = Iterator[Tuple[str, Any]]


def is_of_torch(value: Any) -> bool:
    """Tells whether a value is a network, an optimizer or a schedule."""
    module, others = _kinds()
    return isinstance(value, (module, *(others or ())))


def is_network(value: Any) -> bool:
    return isinstance(value, _kinds()[0])


class Networks:
    """Tracked networks as they are at one look. One loop goes through all of them: there are hundreds, at each checkpoint."""

    def __init__(self) -> None:
        # The plain values of each network, by its identity: as one value, they cost a comparison and not hundreds of visits.
        self._numbers: Dict[int, Dict[str, Any]] = {}
        # The network that each one stands in, and its name there.
        self._places: Dict[int, Tuple[int, str]] = {}

    def left_out(self, name: str, top: Any, seen: Set[int]) -> _Parts:
        """Lists what the ``state_dict`` of a network leaves out, and those of the networks inside of it.

        Args:
            name: Its name, for people.
            top: The network.
            seen: Identities of what was looked at.
        """
        inherited = _attributes_of_all()
        self._places[id(top)] = (0, name)
        seen.add(id(top))
        pending = [top]
        while pending:
            module = pending.pop()
            attributes, number = module.__dict__, id(module)
            for key, one in (attributes.get("_modules") or {}).items():
                if one is not None and id(one) not in seen:
                    seen.add(id(one))
                    self._places[id(one)] = (number, key)
                    pending.append(one)
            own = is_users_class(type(module))
            if own or _is_hooked(attributes):
                yield from self._rest(module, attributes, own)
            if own and _has_extra_state(type(module)):
                continue
            private = own and _is_of_torch_alone(type(module))
            plain = self._numbers[number] = _of_parameters(attributes)
            for key in attributes.keys() - inherited:
                item = attributes[key]
                if key[0] == "_" and (not private or key.startswith(_OF_WRAPPERS)):
                    continue
                if type(item) in (_SCALARS if own else _NUMBERS):
                    plain[key] = item
                elif own and getattr(item, "grad_fn", None) is None and not is_made_once(module, key) and not _is_own_method(module, key, item):
                    # What is computed from parameters, such as a pruned weight, is computed again.
                    plain[key] = type(item)
                    yield f"{self._name(number)}.{key}", item

    def changed_since(self, before: Networks) -> List[str]:
        """Names the plain values that are others than in an earlier look, and those that are new."""
        found: List[str] = []
        for number, plain in self._numbers.items():
            old = before._numbers.get(number)
            if old is not None and old != plain:
                found += [f"{self._name(number)}.{key}" for key, value in plain.items() if key not in old or repr(old[key]) != repr(value)]
        return sorted(found)

    def _rest(self, module: Any, attributes: Mapping[str, Any], own: bool) -> _Parts:
        name = self._name(id(module))
        if own:
            yield f"the class of {name}", type(module)
        yield from _hooks(name, attributes)
        temporary = attributes.get("_non_persistent_buffers_set") or ()
        yield from ((f"{name}.{key}", attributes["_buffers"].get(key)) for key in temporary)

    def _name(self, number: int) -> str:
        outer, key = self._places[number]
        return key if outer == 0 else f"{self._name(outer)}.{key}"


def _is_own_method(module: Any, key: str, item: Any) -> bool:
    """Tells a method of the class that was put back as an attribute, as Lightning does with ``forward`` of a network in DDP."""
    return getattr(item, "__self__", None) is module and getattr(item, "__func__", None) is getattr(type(module), key, None)


def parts_of(name: str, value: Any, attributes: Mapping[str, Any], is_tracked: bool) -> _Parts:
    """Lists what the ``state_dict`` of an optimizer or a schedule leaves out; of one that is not tracked, and of a network, all."""
    if not is_tracked:
        yield from ((f"{name}.{key}", attributes[key]) for key in ("param_groups", "last_epoch") if key in attributes)
        if isinstance(attributes.get("state"), dict):
            slots = [slot for one in attributes["state"].values() if isinstance(one, dict) for slot in one.values()]
            yield f"{name}.state", sum(int(one._version) for one in slots if is_tensor(one))
        for held in ("_parameters", "_buffers"):
            yield from ((f"{name}.{key}", item) for key, item in (attributes.get(held) or {}).items())
    yield from _hooks(name, attributes)
    yield from ((f"{name}.{key}", item) for key, item in (attributes.get("_modules") or {}).items())
    for key in ("lr_lambdas", "lr_lambda"):
        given = attributes.get(key) or []
        # A schedule saves the attributes of an object that it calls, and nothing of a function.
        called = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, types.FunctionType) or not is_tracked]
        yield from _each(f"{name}.lr_lambdas", called)
    if is_network(value):
        yield from _of_untracked(name, value, attributes)


def kept_attributes(value: Any, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the attributes of an optimizer or a schedule that the script's own class counts in, unless they are state."""
    if is_network(value) or _says_its_state(value, attributes):
        return {}
    if not is_users_class(type(value)):
        return {key: item for key, item in attributes.items() if isinstance(item, _NUMBERS) and key[0] != "_"}
    inherited = _inherited_attributes(type(value))
    return {key: item for key, item in sorted(attributes.items()) if key not in inherited and (isinstance(item, _COUNTS) or is_of_torch(item))}


def of_classes(value: Any, attributes: Mapping[str, Any]) -> _Parts:
    """Lists what the script's own classes of an optimizer or a schedule hold."""
    if is_network(value) or not is_users_class(type(value)) or _says_its_state(value, attributes):
        return
    for cls in filter(is_users_class, type(value).__mro__):
        yield from ((f"{cls.__name__}.{key}", item) for key, item in vars(cls).items() if isinstance(item, (bool, int, float, list, types.FunctionType)))


def identities(models: Iterable[Any]) -> Tuple[Set[int], Set[int]]:
    """Returns the identities of the parameters of some networks, and of the networks in them."""
    parameters: Set[int] = set()
    networks: Set[int] = set()
    for model in models:
        if not is_network(model):
            parameters.update(map(id, model.parameters()))
            networks.update(map(id, model.modules()))
            continue
        pending = [model]
        while pending:
            module = pending.pop()
            if module is not None and id(module) not in networks:
                networks.add(id(module))
                parameters.update(map(id, (module.__dict__.get("_parameters") or {}).values()))
                pending += (module.__dict__.get("_modules") or {}).values()
    return parameters - {id(None)}, networks


def _of_untracked(name: str, value: Any, attributes: Mapping[str, Any]) -> _Parts:
    own = is_users_class(type(value))
    if own and _has_extra_state(type(value)):
        return
    inherited = _attributes_of_all()
    for key, item in sorted(attributes.items()):
        if (own or isinstance(item, _NUMBERS) or is_tensor(item)) and key not in inherited and (key[0] != "_" or _is_of_torch_alone(type(value))):
            yield f"{name}.{key}", item


def _of_parameters(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns the plain values that a script has put on the parameters of a network."""
    held = attributes.get("_parameters") or {}
    owners = [(key, one.__dict__) for key, one in held.items() if one is not None and one.__dict__]
    return {f"{key}.{name}": item for key, own in owners for name, item in own.items() if name[0] != "_" and type(item) in _SCALARS}


def _is_hooked(attributes: Mapping[str, Any]) -> bool:
    """Tells whether a network has hooks, of its own or of its parameters, or buffers that its ``state_dict`` leaves out."""
    get = attributes.get
    if get("_forward_hooks") or get("_forward_pre_hooks") or get("_backward_hooks") or get("_backward_pre_hooks") or get("_non_persistent_buffers_set"):
        return True
    held = get("_parameters")
    return bool(held) and any(one is not None and any(getattr(one, kind, None) for kind in _HOOKS_OF_TENSORS) for one in (held or {}).values())


def _hooks(name: str, attributes: Mapping[str, Any]) -> _Parts:
    for key in _HOOKS if "_parameters" in attributes else _HOOKS_OF_OPTIMIZERS:
        held = attributes.get(key)
        if held:
            yield from _each(f"{name}.{key}", held.values())
    for key, parameter in (attributes.get("_parameters") or {}).items():
        for kind in _HOOKS_OF_TENSORS if parameter is not None else ():
            yield from _each(f"{name}.{key}'s hooks", (getattr(parameter, kind, None) or {}).values())


def _each(name: str, values: Iterable[Any]) -> _Parts:
    """Lists values without a list of them: the next such list would have its identity, and pass for seen."""
    for i, value in enumerate(list(values)):
        yield f"{name}[{i}]", value


def _says_its_state(value: Any, attributes: Mapping[str, Any]) -> bool:
    """Tells whether an object's class says itself what its state is: all attributes of a schedule are state."""
    return any("state_dict" in vars(cls) for cls in type(value).__mro__ if is_users_class(cls)) or "last_epoch" in attributes


def _inherited_attributes(cls: type) -> FrozenSet[str]:
    return frozenset(("state", "param_groups", "defaults", *(key for one in cls.__mro__ if not is_users_class(one) for key in vars(one))))


def _attributes_of_all() -> FrozenSet[str]:
    """Lists the attributes that each network has of its library, with the one that tells whether it trains."""
    known: List[FrozenSet[str]] = _of_all
    if not known:
        known.append(frozenset(_kinds()[0]().__dict__))
    return known[0]


def _is_of_torch_alone(cls: type) -> bool:
    """Tells whether a class of the script is made of torch's own: other libraries keep their own things in attributes with an underscore."""
    return _are_torchs(cls.__mro__)


@functools.lru_cache(maxsize=1024)
def _are_torchs(classes: Tuple[Any, ...]) -> bool:
    return all(one is object or is_users_class(one) or one.__module__.startswith(("torch.nn.", "typing")) for one in classes)


def _has_extra_state(cls: type) -> bool:
    return any("get_extra_state" in vars(one) for one in cls.__mro__ if is_users_class(one))


def _kinds() -> Tuple[Any, ...]:
    return _kinds_of(sys.modules.get("torch"))


@functools.lru_cache(maxsize=2)
def _kinds_of(torch: Any) -> Tuple[Any, ...]:
    if not hasattr(torch, "optim"):
        return ((), ())
    return (torch.nn.Module, (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler if hasattr(torch.optim.lr_scheduler, "LRScheduler") else ()))


_of_all: List[FrozenSet[str]] = []
