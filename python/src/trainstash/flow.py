"""The reads and writes of statements, in the order in which they run: names, and attributes of names such as ``self.total``."""

from __future__ import annotations

import ast
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

#: A name, or a name with attributes.
Key = str

# Methods that change a list, dict, set, deque or meter.
MUTATORS = frozenset(
    "add append appendleft clear discard extend extendleft insert pop popitem popleft remove reverse setdefault sort update".split()
)
# Functions that only compute: a value that is given to one, and to nothing else, is not read by it.
COMPUTES = frozenset("abs bool dict float int len list max min pow round set sorted str sum tuple".split())
COMPUTING_MODULES = frozenset("F jax jnp keras math mx nn np numpy ops paddle statistics tf torch".split())


def key_of(node: ast.AST) -> Optional[Key]:
    """Returns ``a.b`` for the expression ``a.b``; None for what is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = key_of(node.value)
        return f"{inner}.{node.attr}" if inner else None
    return None


def root_of(key: Key) -> str:
    return key.partition(".")[0]


def prefixes(key: Key) -> List[Key]:
    parts = key.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def targets_of(node: Optional[ast.AST]) -> List[Key]:
    """Names and attributes that a target binds."""
    if node is None:
        return []
    if isinstance(node, (ast.Tuple, ast.List)):
        return [key for item in node.elts for key in targets_of(item)]
    if isinstance(node, ast.Starred):
        return targets_of(node.value)
    key = key_of(node)
    return [key] if key else []


class Reads(NamedTuple):
    """The names that one expression reads, the methods it calls, and the names it binds."""

    keys: List[Tuple[Key, int]]
    #: Objects whose methods are called, the methods, and the lines.
    calls: List[Tuple[Key, str, int]]
    #: Names bound by ``:=``.
    walrus: List[Tuple[Key, int]]
    #: Names that are given to functions which may do anything with them.
    given: Set[Key]


def looked_at(node: ast.AST) -> Reads:
    """Functions inside of the expression are taken to be called. One walk, kept with the node: most are asked for again."""
    known = getattr(node, "trainstash_reads", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    bound: Set[str] = set()
    found = Reads([], [], [], set())
    for inside in ast.walk(node):
        kind = type(inside)
        if kind is ast.Name or kind is ast.Attribute:
            if type(inside.ctx) is ast.Load:  # type: ignore[attr-defined]
                key = key_of(inside)
                if key:
                    found.keys.append((key, inside.lineno))  # type: ignore[attr-defined]
        elif kind is ast.Call:
            function = inside.func  # type: ignore[attr-defined]
            if type(function) is ast.Attribute:
                key = key_of(function.value)
                if key:
                    found.calls.append((key, function.attr, inside.lineno))  # type: ignore[attr-defined]
            found.given.update(_given(inside))  # type: ignore[arg-type]
        elif kind is ast.comprehension:
            bound.update(targets_of(inside.target))  # type: ignore[attr-defined]
        elif kind is ast.arg:
            bound.add(inside.arg)  # type: ignore[attr-defined]
        elif kind is ast.NamedExpr:
            found.walrus.append((inside.target.id, inside.lineno))  # type: ignore[attr-defined]
    if bound:
        found = found._replace(keys=[(key, line) for key, line in found.keys if root_of(key) not in bound])
    node.trainstash_reads = found  # type: ignore[attr-defined]
    return found


def _given(call: ast.Call) -> Iterable[Key]:
    name = key_of(call.func) or ""
    if name in COMPUTES or ("." in name and root_of(name) in COMPUTING_MODULES):
        return []
    parts = [*call.args, *(word.value for word in call.keywords)]
    return [key for part in parts for inside in ast.walk(part) for key in [key_of(inside)] if key]


def reads_in(node: Optional[ast.AST]) -> List[Tuple[Key, int]]:
    """Lists the names that an expression reads, with the lines."""
    return looked_at(node).keys if node is not None else []


class Flow:
    """One walk over statements that are run once. ``done`` are keys that are surely bound; None: the end is not reached.

    Args:
        inner: Tells the names that a function of the script reads from outside of itself, by the function's name.
    """

    def __init__(self, inner: Callable[[Key], Iterable[Key]] = lambda _: ()) -> None:
        self._inner = inner
        #: Read before they are surely bound here.
        self.exposed: Dict[Key, int] = {}
        #: Read by an assignment to themselves alone, before they are surely bound here.
        self.updated: Dict[Key, int] = {}
        #: All that is read, but for such assignments and for changes in place.
        self.read: Dict[Key, int] = {}
        self.bound: Dict[Key, int] = {}
        #: Changed in place before they are surely bound here.
        self.mutated: Dict[Key, int] = {}
        #: Names that functions inside declare as not their own, and bind.
        self.declared: Set[str] = set()
        #: Objects whose methods are called.
        self.called: Dict[Key, int] = {}

    def run(self, statements: Sequence[ast.stmt], done: Optional[Set[Key]]) -> Optional[Set[Key]]:
        for statement in statements:
            if done is None:
                return None
            done = self._statement(statement, done)
        return done

    def use(self, node: Optional[ast.AST], done: Set[Key], own: Sequence[Key] = ()) -> None:
        """Takes in an expression that is computed. ``own``: what it is assigned to."""
        if node is None:
            return
        reads = looked_at(node)
        receivers = self._calls(reads, done) if reads.calls else ()
        for key, line in reads.keys:
            for one in self._inner(key):
                self.read.setdefault(one, line)
                if not _is_done(one, done):
                    self.exposed.setdefault(one, line)
            if key in own and key not in reads.given:
                if not _is_done(key, done):
                    self.updated.setdefault(key, line)
                continue
            if (key, line) in receivers:
                continue
            self.read.setdefault(key, line)
            if not _is_done(key, done):
                self.exposed.setdefault(key, line)
        for name, line in reads.walrus:
            self._bind([name], line, done)

    def _calls(self, reads: Reads, done: Set[Key]) -> Set[Tuple[Key, int]]:
        """Notes changes in place; returns the reads that belong to them."""
        receivers: Set[Tuple[Key, int]] = set()
        for key, method, line in reads.calls:
            self.called.setdefault(key, line)
            if method in MUTATORS or is_in_place(method):
                if not _is_done(key, done):
                    self.mutated.setdefault(key, line)
                receivers.update({(key, line), (f"{key}.{method}", line)})
        return receivers

    def _bind(self, keys: Iterable[Key], line: int, done: Set[Key]) -> None:
        for key in keys:
            self.bound.setdefault(key, line)
            done.add(key)

    def _store(self, target: ast.AST, done: Set[Key]) -> None:
        """Binds a target; an item of a container is a change in place."""
        for inside in ast.walk(target):
            if isinstance(inside, ast.Subscript):
                key = key_of(inside.value)
                if key is not None and not _is_done(key, done):
                    self.mutated.setdefault(key, inside.lineno)
                self.use(inside.slice, done)
        self._bind(targets_of(target), getattr(target, "lineno", 0), done)

    def _statement(self, node: ast.stmt, done: Set[Key]) -> Optional[Set[Key]]:
        done = set(done)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            own = targets_of(targets[0]) if len(targets) == 1 else []
            self.use(node.value, done, own if len(own) == 1 else ())
            for target in targets if node.value is not None else []:
                self._store(target, done)
        elif isinstance(node, ast.AugAssign):
            own = targets_of(node.target)
            self.use(node.value, done)
            for key in own:
                if not _is_done(key, done):
                    self.updated.setdefault(key, node.lineno)
            self._store(node.target, done)
        elif isinstance(node, ast.If):
            self.use(node.test, done)
            return _both(self.run(node.body, done), self.run(node.orelse, done))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.use(node.iter, done)
            self._store(node.target, done)
            # Loops are taken to run at least once: what they bind is read behind them everywhere.
            done = _union(done, self.run(node.body, done))
            done = _union(done, self.run(node.orelse, done))
        elif isinstance(node, ast.While):
            self.use(node.test, done)
            done = _union(done, self.run(node.body, done))
            done = _union(done, self.run(node.orelse, done))
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.use(item.context_expr, done)
                if item.optional_vars is not None:
                    self._store(item.optional_vars, done)
            return self.run(node.body, done)
        elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            return self._try(node, done)
        elif type(node).__name__ == "Match":
            return self._match(node, done)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._define(node, done)
        elif isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
            for expression in ast.iter_child_nodes(node):
                self.use(expression, done)
            return None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._bind([(alias.asname or alias.name).partition(".")[0] for alias in node.names], node.lineno, done)
        else:
            for expression in ast.iter_child_nodes(node):
                self.use(expression, done)
        return done

    def _try(self, node: ast.AST, done: Set[Key]) -> Optional[Set[Key]]:
        after = self.run(node.body, done)  # type: ignore[attr-defined]
        after = self.run(node.orelse, after) if after is not None else None  # type: ignore[attr-defined]
        for handler in node.handlers:  # type: ignore[attr-defined]
            after = _both(after, self.run(handler.body, set(done) | ({handler.name} if handler.name else set())))
        final = self.run(node.finalbody, after if after is not None else set(done))  # type: ignore[attr-defined]
        return final if after is not None else None

    def _match(self, node: ast.AST, done: Set[Key]) -> Optional[Set[Key]]:
        self.use(node.subject, done)  # type: ignore[attr-defined]
        after: Optional[Set[Key]] = set(done)
        for case in node.cases:  # type: ignore[attr-defined]
            names = {str(getattr(inside, "name", None)) for inside in ast.walk(case.pattern) if getattr(inside, "name", None)}
            after = _both(after, self.run(case.body, set(done) | names))
        return after

    def _define(self, node: ast.stmt, done: Set[Key]) -> None:
        """Takes in a definition: a function reads what is outside of it whenever it is called."""
        free, declared = outside(node)
        self.declared.update(declared)
        for key, line in free.items():
            self.read.setdefault(key, line)
        self._bind([node.name], node.lineno, done)  # type: ignore[attr-defined]


def outside(node: ast.stmt) -> Tuple[Dict[Key, int], Set[str]]:
    """Finds the names that a definition reads of the scopes around it, and those that it binds there. Kept with the node."""
    known = getattr(node, "trainstash_outside", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    own: Set[str] = set()
    declared: Set[str] = set()
    reads: Dict[Key, int] = {}
    for inside in ast.walk(node):
        kind = type(inside)
        if kind is ast.Name:
            if type(inside.ctx) is ast.Store:  # type: ignore[attr-defined]
                own.add(inside.id)  # type: ignore[attr-defined]
            else:
                reads.setdefault(inside.id, inside.lineno)  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            key = key_of(inside)
            if key:
                reads.setdefault(key, inside.lineno)  # type: ignore[attr-defined]
        elif kind is ast.arg:
            own.add(inside.arg)  # type: ignore[attr-defined]
        elif kind is ast.Global or kind is ast.Nonlocal:
            declared.update(inside.names)  # type: ignore[attr-defined]
    free = {key: line for key, line in reads.items() if root_of(key) not in own or root_of(key) in declared}
    node.trainstash_outside = free, declared  # type: ignore[attr-defined]
    return free, declared


def _is_done(key: Key, done: Set[Key]) -> bool:
    return key in done or ("." in key and any(prefix in done for prefix in prefixes(key)))


def is_in_place(name: str) -> bool:
    """Methods of tensors that end with one underscore."""
    return name.endswith("_") and not name.endswith("__") and name not in ("requires_grad_",)


def _both(a: Optional[Set[Key]], b: Optional[Set[Key]]) -> Optional[Set[Key]]:
    if a is None or b is None:
        return b if a is None else a
    return a & b


def _union(a: Set[Key], b: Optional[Set[Key]]) -> Set[Key]:
    return a | b if b is not None else a
