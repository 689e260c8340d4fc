"""Changes that reading data makes to what outlives an item: in a worker nobody sees them, and they start again with it."""

from __future__ import annotations

import ast
import sys
from types import FunctionType, ModuleType
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

from .flow import MUTATORS, is_in_place, key_of, root_of, targets_of
from .scopes import definition_of
from .steadiness import changes_outside

_NOT_READING = ("__init__", "__new__", "__post_init__", "set_epoch", "__setstate__", "__getstate__")


class Change(NamedTuple):
    """A change: its name, the function that makes it, and its line. Without a name: nobody can read what the function does."""

    name: str
    function: FunctionType
    line: int


class _Read(NamedTuple):
    """A function with its text; ``outside``: its names that stand for what outlives the call."""

    function: Any
    spaces: Mapping[str, Any]
    nodes: List[ast.AST]
    outside: FrozenSet[str]
    parameters: List[str]


def changes_in_workers(functions: Iterable[FunctionType], set_again: FrozenSet[str]) -> Optional[Change]:
    """Finds what the code that reads data changes outside of itself.

    Args:
        functions: All user functions that reading reaches.
        set_again: Attributes that each epoch sets anew.
    """
    read: List[_Read] = []
    for function in functions:
        if function.__name__ in _NOT_READING or _opens_files(function):
            continue
        node = definition_of(function.__code__)
        if node is not None:
            read.append(_read(function, node))
        elif not function.__name__.startswith("__") and changes_outside(function.__code__):
            return Change("", function, function.__code__.co_firstlineno)
    by_name = {one.function.__name__: one for one in read}
    for one in read:
        for name, line in _changes(one, by_name):
            attribute = name.rpartition(".")[2]
            if "." not in name or attribute not in set_again:
                return Change(attribute if name.startswith("self.") else name, one.function, line)
    return None


def _read(function: Any, node: Any) -> _Read:
    arguments = node.args
    parameters = [one.arg for one in [*arguments.posonlyargs, *arguments.args]]
    with_default = parameters[len(parameters) - len(arguments.defaults) :] if arguments.defaults else []
    with_default += [one.arg for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults) if default is not None]
    owner = parameters[:1] if "." in function.__qualname__.rpartition("<locals>.")[2] else []
    outside = {*with_default, *owner, *function.__code__.co_freevars}
    nodes = [inside for statement in _body(node) for inside in ast.walk(statement)]
    spaces: Mapping[str, Any] = function.__globals__
    outside |= {name for name in function.__code__.co_names if name in spaces}
    return _Read(function, spaces, nodes, frozenset(outside | _aliases(nodes, outside)), parameters)


def _aliases(nodes: List[ast.AST], outside: Set[str]) -> Set[str]:
    """Finds local names that are given a part of what outlives the call, such as ``x = self.items``."""
    found: Set[str] = set()
    for inside in nodes:
        if isinstance(inside, ast.Assign) and len(inside.targets) == 1 and isinstance(inside.targets[0], ast.Name):
            value = inside.value
            while isinstance(value, ast.Subscript):
                value = value.value
            key = key_of(value)
            if key and root_of(key) in {*outside, *found} and _is_part(inside.value):
                found.add(inside.targets[0].id)
    # A name that is also given something new is no longer the same object.
    renewed = [target for inside in nodes if isinstance(inside, ast.Assign) and not _is_part(inside.value) for target in inside.targets]
    return found - {key for target in renewed for key in targets_of(target)}


def _is_part(value: ast.expr) -> bool:
    return isinstance(value, (ast.Attribute, ast.Subscript))


def _changes(one: _Read, by_name: Mapping[str, _Read]) -> List[Tuple[str, int]]:
    found: Dict[str, int] = {}
    declared = {name for node in one.nodes if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
    for node in one.nodes:
        line = int(getattr(node, "lineno", 0))
        away = _given_away(node, by_name) if isinstance(node, ast.Call) else []
        for key in [*_mutated(node), *away]:
            if root_of(key) in one.outside and not isinstance(one.spaces.get(root_of(key)), ModuleType):
                found.setdefault(key, line)
        for key in _bound(node):
            if ("." in key and root_of(key) in one.outside) or key in declared:
                found.setdefault(key, line)
    return sorted(found.items(), key=lambda pair: pair[1])


def _mutated(node: ast.AST) -> List[str]:
    """Lists what an item is put into, or whose method changes it."""
    key = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
        key = key_of(node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and (node.func.attr in MUTATORS or is_in_place(node.func.attr)):
        key = key_of(node.func.value)
    return [key] if key else []


def _bound(node: ast.AST) -> List[str]:
    key = key_of(node) if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)) else None
    return [key] if key else []


def _given_away(call: ast.Call, by_name: Mapping[str, _Read]) -> List[str]:
    """Lists the arguments that a call changes: ``out=``, the object of ``setattr``, and what a function of the script changes."""
    name = (key_of(call.func) or "").rpartition(".")[2]
    given = [key for word in call.keywords if word.arg == "out" for key in [key_of(word.value)] if key]
    if name in ("setattr", "delattr") and call.args:
        key = key_of(call.args[0])
        attribute = call.args[1].value if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) else "attribute"
        given += [f"{key}.{attribute!s}"] if key else []
    other = by_name.get(name)
    if other is not None:
        mutated = {root_of(key) for node in other.nodes for key in _mutated(node)}
        pairs = zip(other.parameters[1 if other.parameters[:1] == ["self"] else 0 :], call.args)
        given += [key for parameter, value in pairs for key in [key_of(value)] if key and parameter in mutated]
    # `self.__dict__.setdefault(…)` and the like.
    inner = key_of(call.func.value) if isinstance(call.func, ast.Attribute) else None
    return [*given, *([inner] if inner and inner.endswith(".__dict__") else [])]


def _body(node: Any) -> List[Any]:
    return node.body if isinstance(node.body, list) else [ast.Expr(node.body, lineno=node.lineno, col_offset=0)]


def _opens_files(function: FunctionType) -> bool:
    """Tells whether a function opens a file that is read by name or index: each worker opens its own."""
    known = [module for module in map(sys.modules.get, ("h5py", "lmdb", "zarr", "sqlite3", "zipfile", "tarfile")) if module is not None]
    # By identity: an array answers == with an array.
    return any(function.__globals__.get(name) is module for name in function.__code__.co_names for module in known)
