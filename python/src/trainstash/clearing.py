"""Statements of a script that clear gradients; and a look at gradients that tells whether they were cleared."""

from __future__ import annotations

import ast
import weakref
from typing import Any, Iterable, List, Optional, Set, Tuple

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def clears_now_and_then(text: str, tree: ast.AST) -> bool:
    """Tells whether a statement that clears gradients stands under a condition that changes with the steps, and apart from the
    optimizer's step; or whether one puts others in their place. Of a long file the tree may be a part."""
    if ".grad" not in text and "zero_grad" not in text:
        return False
    return any(map(_replaces, ast.walk(tree))) or any(_conditions(tree, False, _changed_in_loops(tree)))


def _conditions(node: ast.AST, conditional: bool, changed: Set[str]) -> Iterable[bool]:
    """Yields for each statement that clears gradients whether it stands under a condition that changes with the steps."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if _clears(child):
                yield conditional
            elif isinstance(child, _FUNCTIONS) or (isinstance(child, _LOOPS) and _calls(child, "backward")):
                yield from _conditions(child, False, changed)
            elif isinstance(node, ast.If) and name in ("body", "orelse"):
                # Gradients of a window are cleared where the window ends: with the step.
                steps = any(_calls(one, "step") for one in value)
                yield from _conditions(child, conditional or (_varies(node.test, changed) and not steps), changed)
            else:
                yield from _conditions(child, conditional, changed)


def _changed_in_loops(tree: ast.AST) -> Set[str]:
    """Finds the names and attributes that loops set."""
    loops = [node for node in ast.walk(tree) if isinstance(node, _LOOPS)]
    inside = [one for loop in loops for one in ast.walk(loop)]
    names = {one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return names | {one.attr for one in inside if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)}


def _varies(test: ast.AST, changed: Set[str]) -> bool:
    parts = list(ast.walk(test))
    attributes = {one.attr for one in parts if isinstance(one, ast.Attribute)}
    if "grad" in attributes:
        return False  # Whether there is a gradient at all.
    names = {one.id for one in parts if isinstance(one, ast.Name)}
    return bool((names | attributes) & changed or attributes & {"steps", "step"} or any(isinstance(one, ast.Call) for one in parts))


def _clears(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        is_in_place = node.func.attr == "zero_" and isinstance(node.func.value, ast.Attribute) and node.func.value.attr == "grad"
        return node.func.attr == "zero_grad" or is_in_place
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None:
        return any(isinstance(one, ast.Attribute) and one.attr == "grad" for one in node.targets)
    return False


def _replaces(node: ast.AST) -> bool:
    """Tells a statement that sets a gradient to another tensor, which may have been made of the old one."""
    is_none = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None
    return isinstance(node, ast.Assign) and not is_none and any(isinstance(one, ast.Attribute) and one.attr == "grad" for one in node.targets)


def _calls(node: ast.AST, name: str) -> bool:
    return any(isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == name for one in ast.walk(node))


class Look:
    """The gradients of an optimizer at one step, none of them held: at the next step it tells what became of them."""

    def __init__(self, parameters: Iterable[Any], version: Any) -> None:
        self._version = version
        self._noted: List[Tuple[Any, Any, int]] = [
            (one, weakref.ref(one.grad), version(one.grad)) for one in parameters if one.grad is not None
        ]

    def __bool__(self) -> bool:
        return bool(self._noted)

    def were_cleared(self) -> Optional[bool]:
        """Tells whether each gradient is gone; None: nothing has happened to them yet. One that was set to zero in its place cannot be
        told from one that adds up, and counts as such."""
        there = [self._version(one.grad) - version for one, ref, version in self._noted if one.grad is not None and one.grad is ref()]
        return None if len(there) == len(self._noted) and not any(there) else not there
