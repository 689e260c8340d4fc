"""Variables of the environment that the loop reads and that have changed while it trains: a new process begins with others."""

from __future__ import annotations

import ast
import os
from typing import Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .code_parts import Part
from .flow import key_of
from .script import shown_file

#: Names without one of which code reads no variable of the environment.
NAMES = frozenset("environ environb getenv getenvb".split())


class Changed(NamedTuple):
    """A variable, and the place where it is read."""

    name: str
    where: str


def environment() -> Mapping[str, str]:
    return dict(os.environ)


def changed_and_read(before: Mapping[str, str], parts: Iterable[Part]) -> Optional[Changed]:
    """Finds a variable that is another than before and that code reads.

    Args:
        before: The environment in the first round.
        parts: The loops, and the functions that they reach.
    """
    now = environment()
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if not changed:
        return None
    for part in parts:
        for key, node in _reads(part):
            named = key if key in changed else changed[0] if key is None else None
            if named is not None:
                return Changed(f"os.environ['{named}']", f"{shown_file(part.code)}:{getattr(node, 'lineno', part.code.co_firstlineno)}")
    return None


def _reads(part: Part) -> Iterator[Tuple[Optional[str], ast.AST]]:
    """Yields the variables that code reads; None for one whose name its text does not tell."""
    for node in part.nodes:
        if isinstance(node, ast.Call) and (key_of(node.func) or "").rpartition(".")[2] in ("getenv", "getenvb"):
            yield _name(node.args[:1], part), node
        if not _is_environment(node):
            continue
        outer = part.parents.get(node)
        if isinstance(outer, ast.Subscript):
            if isinstance(outer.ctx, ast.Load) or isinstance(part.parents.get(outer), ast.AugAssign):
                yield _name([outer.slice], part), node
        elif isinstance(outer, ast.Attribute) and isinstance(part.parents.get(outer), ast.Call):
            call = part.parents[outer]
            assert isinstance(call, ast.Call)
            if outer.attr in ("get", "setdefault", "pop", "__getitem__", "__contains__"):
                # A value that is taken out and not used is only removed.
                if not isinstance(part.parents.get(call), ast.Expr):
                    yield _name(call.args[:1], part), node
            elif outer.attr not in ("update", "clear", "__setitem__"):
                yield None, node
        elif isinstance(outer, ast.Compare) and isinstance(outer.ops[0], (ast.In, ast.NotIn)):
            yield _name([outer.left], part), node
        elif not (isinstance(outer, ast.keyword) and outer.arg == "env"):
            yield None, node


def _is_environment(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("environ", "environb")


def _name(given: List[ast.expr], part: Part) -> Optional[str]:
    node = given[0] if given else None
    value = node.value if isinstance(node, ast.Constant) else part.spaces.get(key_of(node) or "") if node is not None else None
    if isinstance(node, ast.Name) and node.id in part.unknown:
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else None
