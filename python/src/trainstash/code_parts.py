"""Code that values are followed in: the loops of a frame, or a function."""

from __future__ import annotations

import ast
from types import CodeType, FunctionType
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from .scopes import definition_of


class Part(NamedTuple):
    """Code with its text. ``own``: names that nothing else sees; ``unknown``: names whose values ``spaces`` does not tell."""

    nodes: List[ast.AST]
    parents: Mapping[ast.AST, ast.AST]
    spaces: Mapping[str, Any]
    code: CodeType
    own: FrozenSet[str]
    unknown: FrozenSet[str]
    parameters: List[str]


def part_of_loop(loop: ast.AST, code: CodeType, spaces: Mapping[str, Any]) -> Part:
    own = frozenset(code.co_varnames) if code.co_name != "<module>" else frozenset()
    nodes, parents = _walked(loop)
    set_here = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return Part(nodes, parents, spaces, code, own, frozenset(set_here | (own - spaces.keys())), [])


def part_of_function(function: FunctionType) -> Optional[Part]:
    """Returns a function's body; None where nobody can read its text."""
    code = function.__code__
    node: Any = definition_of(code)
    if node is None:
        return None
    parameters = [one.arg for one in [*node.args.posonlyargs, *node.args.args]]
    nodes, parents = _walked(node)
    own = frozenset(code.co_varnames)
    return Part(nodes, parents, function.__globals__, code, own, own, parameters)


def parents_in(node: ast.AST) -> Dict[ast.AST, ast.AST]:
    return {child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)}


def bound_by(statement: ast.stmt) -> List[ast.expr]:
    """Lists the targets that a compound statement binds by itself."""
    if isinstance(statement, ast.With):
        return [one.optional_vars for one in statement.items if one.optional_vars is not None]
    return [statement.target] if isinstance(statement, ast.For) else []


def branches_of(statement: ast.stmt) -> List[ast.stmt]:
    """Lists the statements of all branches of one."""
    handled = [one for handler in getattr(statement, "handlers", []) for one in handler.body]
    return [*statement.body, *handled, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]  # type: ignore[attr-defined]


def following(child: ast.AST, parent: ast.AST) -> List[ast.stmt]:
    """Lists the statements that follow one in its own branch."""
    branches: List[List[ast.stmt]] = [getattr(parent, name, None) or [] for name in ("body", "orelse", "finalbody")]
    return next((branch[branch.index(child) + 1 :] for branch in branches if isinstance(branch, list) and child in branch), [])


def _walked(node: Any) -> Tuple[List[ast.AST], Dict[ast.AST, ast.AST]]:
    """Returns the nodes of a loop, or of the body of a function, and the parents of all. Kept with the node: each checkpoint asks."""
    known = getattr(node, "trainstash_walk", None)
    if known is None:
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        tops = [node] if not is_function else node.body if isinstance(node.body, list) else [node.body]
        known = node.trainstash_walk = [inside for top in tops for inside in ast.walk(top)], parents_in(node)
    return known
