"""The names that a loop reads and changes by its text, kept with its nodes."""

from __future__ import annotations

import ast
from typing import FrozenSet, List, NamedTuple, Optional, Set, Tuple

from .flow import Flow, Key, root_of, targets_of
from .reading import reads_any_in
from .syntax import Loop


class LoopText(NamedTuple):
    """Names that loops set or change in their own text, and attributes that they read."""

    judged: FrozenSet[str]
    read: FrozenSet[str]
    #: They also read attributes by names that are not in their text.
    reads_any: bool


def text_of(loops: List[Loop], modules: Set[str]) -> LoopText:
    """Reads which names the loops set or change, which tells what starts again, and which attributes they read.

    Args:
        loops: The loops, the outermost first.
        modules: Names of modules. What is done to one is looked at instead: its functions are called as a container's methods are.
    """
    keys = {key for loop in loops for key in (*flow_of(loop).bound, *flow_of(loop).mutated, *targets(loop))}
    read, reads_any = _reads_of(loops[0]) if loops else (frozenset(), False)
    return LoopText(frozenset(key for key in keys if "." not in key or root_of(key) not in modules), read, reads_any)


def _reads_of(loop: Loop) -> Tuple[FrozenSet[str], bool]:
    """Returns the attributes that a loop reads, and whether it reads others by names that are not in its text. Kept with its node."""
    known: Optional[Tuple[FrozenSet[str], bool]] = getattr(loop, "trainstash_attributes", None)
    if known is None:
        nodes = list(ast.walk(loop))
        read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
        # As `getattr` names them.
        texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        known = loop.trainstash_attributes = frozenset(read | texts), reads_any_in(nodes)  # type: ignore[union-attr]
    return known


def bound_in(loops: List[Loop]) -> List[Key]:
    return [root_of(key) for loop in loops for key in (*flow_of(loop).bound, *targets(loop)) if "." not in key]


def targets(loop: Loop) -> List[Key]:
    return [] if isinstance(loop, ast.While) else targets_of(loop.target)


def flow_of(loop: Loop) -> Flow:
    known: Optional[Flow] = getattr(loop, "trainstash_flow", None)
    if known is None:
        known = loop.trainstash_flow = Flow()  # type: ignore[union-attr]
        if isinstance(loop, ast.While):
            known.use(loop.test, set())
        else:
            known.use(loop.iter, set())
        known.run(loop.body, set(targets(loop)))
    return known
