"""The attributes that code may read by names that its text does not tell, and those that a library's classes read of a script's objects."""

from __future__ import annotations

import ast
import dis
import functools
from types import CodeType, FunctionType
from typing import Any, FrozenSet, Iterable, List

from .flow import key_of
from .own_attributes import is_users_class
from .scopes import definition_of
from .steadiness import code_and_inner, names_read

# Calls and attributes that give all attributes of an object.
_ALL = frozenset("vars __dict__ attrgetter __getattribute__ asdict astuple".split())


def reads_any_attribute(function: FunctionType) -> bool:
    """Tells whether a function reads attributes by names that are not in its text."""
    return _reads_any(function.__code__)


def reads_any_in(nodes: Iterable[ast.AST]) -> bool:
    """Tells whether statements read attributes by names that are not in their text."""
    return any(map(_is_open, nodes))


@functools.lru_cache(maxsize=4096)
def _reads_any(code: CodeType) -> bool:
    read = names_read(code)
    if "getattr" not in read and not _ALL & read:
        return False
    node = definition_of(code)
    return node is None or reads_any_in(ast.walk(node))


def _is_open(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _ALL
    if not isinstance(node, ast.Call):
        return False
    name = (key_of(node.func) or "").rpartition(".")[2]
    is_named = len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
    return name in _ALL or (name == "getattr" and not is_named)


@functools.lru_cache(maxsize=1024)
def names_of_bases(cls: Any) -> FrozenSet[str]:
    """Lists the attributes that the functions of a library's class read: of an object of the script, if its class is made of this one."""
    if cls.__module__.startswith("torch.nn.") or is_users_class(cls):
        return frozenset()
    codes: List[Any] = [getattr(getattr(one, "fget", one), "__code__", None) for one in vars(cls).values()]
    parts = [part for code in codes if code is not None for part in code_and_inner(code)]
    return frozenset(str(one.argval) for part in parts for one in dis.get_instructions(part) if one.opname in ("LOAD_ATTR", "LOAD_METHOD"))
