"""Statements by which a value gets into a training though no function is given it: a backward pass, a rate, an attribute of a network."""

from __future__ import annotations

import ast
from typing import Any, Mapping

from .flow import key_of, root_of

#: Options of an optimizer's groups.
_OPTIONS = frozenset("lr initial_lr momentum weight_decay betas eps dampening alpha lambd max_lr min_lr".split())
#: Attributes of a parameter.
_OF_PARAMETERS = frozenset("grad data requires_grad".split())


def trains(call: ast.Call) -> bool:
    """Tells whether a call of a value's own method trains with the value."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "backward"


def is_trained(target: ast.AST, spaces: Mapping[str, Any]) -> bool:
    """Tells whether a value that is set here is a part of the training.

    Args:
        target: What an assignment binds.
        spaces: The names that the code sees, with their values.
    """
    if isinstance(target, (ast.Tuple, ast.List)):
        return any(is_trained(one, spaces) for one in target.elts)
    if isinstance(target, ast.Starred):
        return is_trained(target.value, spaces)
    if not isinstance(target, (ast.Subscript, ast.Attribute)):
        return False
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant) and target.slice.value in _OPTIONS:
        return True
    if isinstance(target, ast.Attribute) and target.attr in _OF_PARAMETERS:
        return True
    inner: ast.AST = target
    while isinstance(inner, (ast.Subscript, ast.Attribute)):
        inner = inner.value
    value = spaces.get(root_of(key_of(inner) or ""))
    kinds = {one.__module__.partition(".")[0] for one in type(value).__mro__}
    return bool(kinds & {"torch", "paddle", "keras"})
