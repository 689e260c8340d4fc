"""Names that the functions of a script read from outside of themselves, whoever calls them."""

from __future__ import annotations

import ast
from typing import Dict, FrozenSet, List, Optional, Set

from .flow import Key, outside, targets_of


class Functions:
    """The functions and classes of a file, by the names that they are called by: their own, or that of an object of the class."""

    def __init__(self) -> None:
        self._nodes: Dict[str, List[ast.stmt]] = {}
        # Names of objects, and of their classes.
        self._classes: Dict[Key, str] = {}
        self._known: Dict[str, FrozenSet[Key]] = {}

    def add(self, node: ast.stmt) -> None:
        self._nodes.setdefault(node.name, []).append(node)  # type: ignore[attr-defined]

    def made(self, targets: List[ast.expr], value: ast.Call) -> None:
        """Notes what a call gives: perhaps an object of one of the classes."""
        if isinstance(value.func, ast.Name):
            self._classes.update({key: value.func.id for target in targets for key in targets_of(target)})

    def read_by(self, key: Key) -> FrozenSet[Key]:
        """Lists what a call of this name may read, with the functions that it calls."""
        name = self._name(key)
        return self._found(name, set()) if name is not None else frozenset()

    def _name(self, key: Key) -> Optional[str]:
        last = key.rpartition(".")[2]
        name = last if last in self._nodes else self._classes.get(key)
        return name if name in self._nodes else None

    def _found(self, name: str, around: Set[str]) -> FrozenSet[Key]:
        known = self._known.get(name)
        if known is not None or name in around:
            return known or frozenset()
        found: Set[Key] = set()
        for node in self._nodes[name]:
            for key in outside(node)[0]:
                found.add(key)
                inner = self._name(key)
                if inner is not None:
                    found |= self._found(inner, around | {name})
        if not around:
            self._known[name] = frozenset(found)
        return frozenset(found)
