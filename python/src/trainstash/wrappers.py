"""The names of a model's weights without what DDP, compiling and the like add to them, so that each form of a model loads
the checkpoints of the others."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Dict, Iterable, Mapping, Optional

# The attribute of each wrapper, by its class, that holds what it wraps.
_INNER = {
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "OptimizedModule": "_orig_mod",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
}
_ADDED = tuple(f"{name}." for name in set(_INNER.values()))
_MOST_WRAPPERS = 8


def unwrap(value: Any) -> Any:
    """Returns the model itself, without the wrappers around all of it."""
    for _ in range(_MOST_WRAPPERS):
        inner = _inner_of(value)
        wrapped = getattr(value, inner, None) if inner else None
        if wrapped is None:
            break
        value = wrapped
    return value


def plain_name(model: Any, name: str) -> str:
    """Returns the name of a weight or a module as it would be if no part of the model were wrapped."""
    if not any(added in f"{name}." for added in _ADDED):
        return name
    plain = []
    module: Any = model
    for part in name.split("."):
        if module is None or part != _inner_of(module):
            plain.append(part)
        module = getattr(module, "_modules", {}).get(part) if module is not None else None
    return ".".join(plain)


def plain_state(model: Any, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a model's state under plain names; as it is when two weights would have the same one."""
    names = [plain_name(model, str(name)) for name in state]
    if names == list(state) or len(set(names)) < len(names):
        return state
    plain = OrderedDict(zip(names, state.values()))
    metadata = getattr(state, "_metadata", None)
    if isinstance(metadata, Mapping):
        plain._metadata = {plain_name(model, str(path)): entry for path, entry in metadata.items()}  # type: ignore[attr-defined]
    return plain


def own_names(model: Any, names: Iterable[str]) -> Dict[str, str]:
    """Maps each plain name to what this form of the model calls it."""
    return {plain_name(model, name): name for name in names}


def saved_name(name: str, plain: Mapping[str, str]) -> Optional[str]:
    """Returns the name in a model with these plain names for a name of a checkpoint; None when it has nothing of the kind.

    Checkpoints of versions before 0.2 have the names of the form that the model had then.
    """
    if name in plain:
        return name
    for added in _ADDED:
        shorter = name.replace(f".{added}", ".")
        shorter = shorter[len(added) :] if shorter.startswith(added) else shorter
        if shorter in plain:
            return shorter
    return None


def _inner_of(value: Any) -> Optional[str]:
    return next((_INNER[kind.__name__] for kind in type(value).__mro__ if kind.__name__ in _INNER), None)
