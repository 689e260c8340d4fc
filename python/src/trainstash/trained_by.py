"""Statements by which a value gets into a training though no function is given it: a backward pass, a rate, an attribute of a network."""

from __future__ import annotations

import ast

from .code_parts import Part
from .flow import key_of, root_of

#: Options of an optimizer's groups.
_OPTIONS = frozenset("lr initial_lr momentum weight_decay betas eps dampening alpha lambd max_lr min_lr".split())
_PARAMETERS = frozenset(["parameters", "named_parameters"])
#: Attributes of a parameter.
_OF_PARAMETERS = frozenset("grad data requires_grad".split())


def trains(call: ast.Call) -> bool:
    """Tells whether a call of a value's own method trains with the value."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "backward"


def is_trained(target: ast.AST, part: Part) -> bool:
    """Tells whether a value that is set here is a part of the training.

    Args:
        target: What an assignment binds.
        part: The code that it stands in.
    """
    if isinstance(target, (ast.Tuple, ast.List)):
        return any(is_trained(one, part) for one in target.elts)
    if isinstance(target, ast.Starred):
        return is_trained(target.value, part)
    if isinstance(target, ast.Name):
        # `p -= …` changes the parameter itself, `p = …` a name.
        return isinstance(part.parents.get(target), ast.AugAssign) and any(_is_over_parameters(one, target.id) for one in part.nodes)
    if not isinstance(target, (ast.Subscript, ast.Attribute)):
        return False
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant) and target.slice.value in _OPTIONS:
        return True
    if isinstance(target, ast.Attribute) and target.attr in _OF_PARAMETERS:
        return True
    inner: ast.AST = target
    while isinstance(inner, (ast.Subscript, ast.Attribute)):
        inner = inner.value
    value = part.spaces.get(root_of(key_of(inner) or ""))
    kinds = {one.__module__.partition(".")[0] for one in type(value).__mro__}
    return bool(kinds & {"torch", "paddle", "keras"})


def _is_over_parameters(node: ast.AST, name: str) -> bool:
    """Tells a loop that gives parameters this name."""
    if not isinstance(node, ast.For) or not any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node.target)):
        return False
    inside = list(ast.walk(node.iter))
    by_method = any(isinstance(one, ast.Attribute) and one.attr in _PARAMETERS for one in inside)
    return by_method or any(isinstance(one, ast.Constant) and one.value == "params" for one in inside)
