"""Attributes of a user's object that its own ``state_dict`` tells, and those that it computes once from what does not change."""

from __future__ import annotations

import ast
import dis
import functools
from types import CodeType, FunctionType
from typing import Any, FrozenSet, Iterator, List, Optional, Set

from .caches import DRAWS
from .flow import key_of
from .own_attributes import is_users_class
from .reading import reads_any_attribute
from .scopes import definition_of
from .steadiness import code_and_inner, names_read

#: Parts of a tensor or a container that say how large it is, and nothing of its values.
_SIZES = frozenset("shape size dim ndim numel device dtype is_cuda".split())
_PLAIN = (bool, int, float, str, type(None))
_CONSTRUCTORS = ("__init__", "__new__", "__setstate__")


def names_of_state(cls: type) -> Optional[FrozenSet[str]]:
    """Lists the names that the ``state_dict`` of a class reads, with the methods and properties that it uses.

    Returns:
        None: it may read any attribute, or a library's class says what the state is.
    """
    return _names_of_state(cls)


@functools.lru_cache(maxsize=1024)
def _names_of_state(cls: Any) -> Optional[FrozenSet[str]]:
    found: Set[str] = set()
    pending, seen = ["state_dict"], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for one in cls.__mro__:
            function = _function_of(vars(one).get(name))
            if function is None:
                if name == "state_dict" and name in vars(one):
                    return None
                continue
            if not is_users_class(one):
                if name == "state_dict":
                    return None
                continue
            if reads_any_attribute(function):
                return None
            read = names_read(function.__code__)
            found |= read
            pending += read
    return frozenset(found)


def is_made_once(module: Any, attribute: str) -> bool:
    """Tells whether the class of a network sets an attribute only if it lacks it, and from sizes and constants: a mask, positions. A
    resume computes the same."""
    try:
        own = [one for one in type(module).__mro__ if is_users_class(one)]
        functions = [function for one in own for name, value in vars(one).items() if name not in _CONSTRUCTORS for function in [_function_of(value)] if function]
        setters = [one for one in functions if attribute in _stored(one.__code__)]
        return bool(setters) and all(_sets_once(one, attribute, module) for one in setters)
    except Exception:
        return False


def _sets_once(function: FunctionType, attribute: str, module: Any) -> bool:
    node = definition_of(function.__code__)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or not node.args.args:
        return False
    own = node.args.args[0].arg
    given = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)} - {own}
    stores = list(_stores(node.body, f"{own}.{attribute}", False))
    if not stores or not all(is_guarded for _, is_guarded in stores):
        return False
    for _ in range(3):
        for one in ast.walk(node):
            if isinstance(one, ast.Assign) and _is_of_values(one.value, given, own, attribute, module):
                given.update(part.id for target in one.targets for part in ast.walk(target) if isinstance(part, ast.Name) and part.id != own)
            elif isinstance(one, (ast.AugAssign, ast.For, ast.With)) and isinstance(getattr(one, "target", None), ast.Name):
                given.add(one.target.id)  # type: ignore[union-attr]
    return not any(_is_of_values(value, given, own, attribute, module) for value, _ in stores)


def _stores(statements: List[ast.stmt], key: str, is_guarded: bool) -> Iterator[Any]:
    """Yields the values that an attribute is set to, and whether a test of the attribute itself stands before."""
    for one in statements:
        if isinstance(one, (ast.Assign, ast.AnnAssign)):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            if any(key_of(part) == key for target in targets for part in ast.walk(target)) and one.value is not None:
                yield one.value, is_guarded
        elif isinstance(one, ast.AugAssign) and key_of(one.target) == key:
            yield one.value, False
        test = isinstance(one, ast.If) and _tests(one.test, key)
        for block in ("body", "orelse", "finalbody"):
            yield from _stores(getattr(one, block, None) or [], key, is_guarded or (test and block == "body"))


def _tests(test: ast.expr, key: str) -> bool:
    attribute = key.rpartition(".")[2]
    return any(key_of(part) == key or (isinstance(part, ast.Constant) and part.value == attribute) for part in ast.walk(test))


def _is_of_values(node: ast.AST, given: Set[str], own: str, attribute: str, module: Any) -> bool:
    """Tells whether an expression reads the values of what is given, or of what is trained, or draws."""
    if isinstance(node, ast.Call):
        name = (key_of(node.func) or "").rpartition(".")[2]
        if name in DRAWS:
            return True
        if name == "len" or (isinstance(node.func, ast.Attribute) and name in _SIZES):
            return False
    if isinstance(node, ast.Attribute):
        if node.attr in _SIZES:
            return False
        if isinstance(node.value, ast.Name) and node.value.id == own and node.attr != attribute:
            return not _is_fixed(module, node.attr)
    if isinstance(node, ast.Name):
        return node.id in given
    return any(_is_of_values(part, given, own, attribute, module) for part in ast.iter_child_nodes(node))


def _is_fixed(module: Any, name: str) -> bool:
    """Tells whether an attribute is a plain value that nothing but the constructor sets, or a method that reads nothing that is trained."""
    method = _function_of(getattr(type(module), name, None))
    if method is not None:
        read = names_read(method.__code__)
        return not read & (DRAWS | module._parameters.keys() | module._buffers.keys() | module._modules.keys())
    if not isinstance(module.__dict__.get(name), _PLAIN):
        return False
    functions = [_function_of(value) for one in type(module).__mro__ if is_users_class(one) for key, value in vars(one).items() if key not in _CONSTRUCTORS]
    return not any(one is not None and name in _stored(one.__code__) for one in functions)


@functools.lru_cache(maxsize=4096)
def _stored(code: CodeType) -> FrozenSet[str]:
    return frozenset(str(one.argval) for part in code_and_inner(code) for one in dis.get_instructions(part) if one.opname in ("STORE_ATTR", "DELETE_ATTR"))


def _function_of(value: Any) -> Optional[FunctionType]:
    inner = getattr(value, "fget", None) or getattr(value, "__func__", None) or value
    return inner if isinstance(inner, FunctionType) else None
