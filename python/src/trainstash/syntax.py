"""Pieces of a script's text: what a statement binds, whether a call shows something, what a loop asks for. One piece each; what
follows from them together is ``loop_variables``."""

from __future__ import annotations

import ast
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

from .flow import Key, key_of, targets_of

Loop = Union[ast.For, ast.AsyncFor, ast.While]
LOOPS = (ast.For, ast.AsyncFor, ast.While)
_CLOCKS = {"time", "perf_counter", "monotonic", "process_time", "now", "perf_counter_ns", "time_ns", "monotonic_ns"}
# Calls that show something and compute nothing.
_SHOW = {"print", "info", "debug", "warning", "error", "log", "write", "set_postfix", "set_postfix_str", "set_description"}
_BARS = ("tqdm", "trange", "track", "progress")


def walk_own(node: ast.AST) -> Iterator[ast.AST]:
    """Walks a scope without the functions inside of it."""
    pending: List[ast.AST] = [node]
    while pending:
        current = pending.pop()
        yield current
        if current is not node and isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        pending.extend(ast.iter_child_nodes(current))


def blocks(node: Optional[ast.AST]) -> Iterator[List[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block


def is_call_of(node: ast.AST, methods: Sequence[str], run_names: Set[Key]) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in methods:
        return False
    return key_of(node.func.value) in run_names


def asks(loop: Loop, methods: Sequence[str], run_names: Set[Key]) -> bool:
    return not isinstance(loop, ast.While) and any(is_call_of(node, methods, run_names) for node in ast.walk(loop.iter))


def has_steps(loop: Loop, run_names: Set[Key]) -> bool:
    return any(is_call_of(node, ("step",), run_names) for node in ast.walk(loop))


def is_package(key: Key) -> bool:
    return key in ("torch", "torch.utils", "itertools", "np", "numpy")


def is_init(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and key_of(node.func) in ("trainstash.init", "init")


def bound_by(statement: ast.AST) -> List[Key]:
    if isinstance(statement, ast.Assign):
        return [key for target in statement.targets for key in targets_of(target)]
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        return targets_of(statement.target)
    return []


def value_of(statement: ast.stmt) -> Optional[ast.expr]:
    return getattr(statement, "value", None)


def is_clock(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and (key_of(value.func) or "").rpartition(".")[2] in _CLOCKS


def is_bar(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and (key_of(value.func) or "").rpartition(".")[2] in _BARS


def is_shown(statement: ast.stmt) -> bool:
    """Tells whether a statement shows something, and computes nothing that is used."""
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.If):
        return all(map(is_shown, [*statement.body, *statement.orelse]))
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    return (key_of(statement.value.func) or "").rpartition(".")[2] in _SHOW


def beside(iterated: ast.expr, target: ast.expr, is_wrapped: object) -> Iterator[Tuple[str, bool]]:
    """Names that are given beside the batches, and whether they count them."""
    assert callable(is_wrapped)
    name = (key_of(iterated.func) or "").rpartition(".")[2] if isinstance(iterated, ast.Call) else ""
    if not isinstance(iterated, ast.Call) or not iterated.args or is_wrapped(iterated):
        return
    parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
    if name == "enumerate" and len(parts) == 2:
        for key in targets_of(parts[0]):
            yield key, True
        yield from beside(iterated.args[0], parts[1], is_wrapped)
    elif name == "zip" and len(parts) == len(iterated.args):
        for argument, part in zip(iterated.args, parts):
            if any(is_wrapped(node) for node in ast.walk(argument)):
                yield from beside(argument, part, is_wrapped)
            else:
                counts = isinstance(argument, ast.Call) and (key_of(argument.func) or "").endswith("count")
                yield from ((key, counts) for key in targets_of(part))
    elif name not in ("enumerate", "zip"):
        # A progress bar and the like hand on what they are given.
        yield from beside(iterated.args[0], target, is_wrapped)


def modulus(node: ast.AST, parents: Dict[ast.AST, ast.AST]) -> Optional[str]:
    """Returns ``k`` where a counter is read in ``(i + 1) % k``: it comes out right after a multiple of ``k`` batches."""
    parent = parents.get(node)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Add, ast.Sub)):
        other = parent.right if parent.left is node else parent.left
        if not isinstance(other, ast.Constant):
            return None
        node, parent = parent, parents.get(parent)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mod) and parent.left is node:
        return ast.unparse(parent.right)
    return None


def end_of(node: ast.AST) -> int:
    return int(getattr(node, "end_lineno", 0) or 0)
