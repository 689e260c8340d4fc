"""Variables of a script that start again on a resume: found in its text alone, by rules that another parser can follow.

A resume runs the script from its beginning. Whatever a loop carries from one round to the next in plain variables is then as
it was before the first round. Two questions matter: what is lost by a checkpoint inside of an epoch, and what by one at an
epoch's end. The list does not claim to be whole: it knows names, attributes of names, and changes in place by methods that
containers have.
"""

from __future__ import annotations

import ast
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from .flow import Flow, Key, key_of, prefixes, reads_in, targets_of

Loop = Union[ast.For, ast.AsyncFor, ast.While]
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module, ast.ClassDef)
_LOADERS = ("batches", "forever")
# Methods that tell that an object is the run.
_OF_RUN = ("epochs", "batches", "forever", "checkpoint")
_CLOCKS = {"time", "perf_counter", "monotonic", "process_time", "now", "perf_counter_ns", "time_ns", "monotonic_ns"}
# Calls that show something and compute nothing.
_SHOW = {"print", "info", "debug", "warning", "error", "log", "write", "set_postfix", "set_postfix_str", "set_description"}
_BARS = ("tqdm", "trange", "track", "progress")


class Found(NamedTuple):
    """A variable that starts again. ``line`` is where it is set before the loop, or the loop's own. ``unless``: expressions
    of which the number of batches read so far may be a multiple; then the variable comes out right."""

    name: Key
    line: int
    unless: Tuple[str, ...] = ()


class Names:
    """What a file calls the run, what keeps values for it, and what it tracks."""

    def __init__(self, tree: ast.AST) -> None:
        self.run: Set[Key] = set()
        self.tracked: Set[Key] = set()
        #: Names that a function binds outside of itself, by the function's name.
        self.declared: Dict[str, Set[str]] = {}
        states: List[Tuple[ast.expr, List[Key]]] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Assign):
                if _is_init(node.value):
                    self.run.update(key for target in node.targets for key in targets_of(target))
                elif isinstance(node.value, ast.Call):
                    states.append((node.value, [key for target in node.targets for key in targets_of(target)]))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names = {name for one in node.body if isinstance(one, (ast.Global, ast.Nonlocal)) for name in one.names}
                if names:
                    self.declared.setdefault(node.name, set()).update(names)
        #: The run itself, and what ``run.state`` gave.
        self.own = set(self.run)
        for value, keys in states:
            if _is_call(value, ("state",), self.run):
                self.own.update(keys)

    def _call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            key = key_of(function.value)
            if key and function.attr in _OF_RUN and not _is_package(key):
                self.run.add(key)
        if _is_init(node) or (isinstance(function, ast.Attribute) and function.attr == "track"):
            self.tracked.update(key for word in node.keywords for key in [key_of(word.value)] if key and word.arg != "params")


class Scope:
    """One function, or the module."""

    def __init__(self, node: ast.AST, names: Names) -> None:
        self.node = node
        self.names = names
        self.nodes = list(_walk_own(node))
        self.parents: Dict[ast.AST, ast.AST] = {child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)}
        self.loops = sorted((one for one in self.nodes if isinstance(one, _LOOPS)), key=lambda one: (one.lineno, -_end(one)))
        arguments = getattr(node, "args", None)
        self.parameters = {inside.arg for inside in ast.walk(arguments) if isinstance(inside, ast.arg)} if arguments else set()
        self._statements = [one for one in self.nodes if isinstance(one, ast.stmt)]
        self._bindings: Dict[Key, List[ast.stmt]] = {}
        for statement in sorted(self._statements, key=lambda one: one.lineno):
            for key in _bound_by(statement):
                self._bindings.setdefault(key, []).append(statement)

    def loops_around(self, line: int) -> List[Loop]:
        """The loops that a line stands in, the outermost first. The line of a ``for`` itself counts as inside."""
        return [loop for loop in self.loops if loop.lineno <= line <= _end(loop)]

    def is_over_epochs(self, loop: Loop) -> bool:
        return _asks(loop, ("epochs",), self.names.run)

    def is_over_batches(self, loop: Loop) -> bool:
        return _asks(loop, _LOADERS, self.names.run) or self._iterates_wrapped(loop)

    def starts_again(self, loop: Loop) -> List[Found]:
        """What is lost when the loop is entered anew in the middle of its rounds."""
        body = Flow()
        targets = [] if isinstance(loop, ast.While) else targets_of(loop.target)
        if isinstance(loop, ast.While):
            body.use(loop.test, set())
        surely = body.run(loop.body, set(targets))
        after = self._after(loop)
        for function in body.read:
            body.declared.update(self.names.declared.get(function.rpartition(".")[2], ()))
        names = [key for key in {**body.bound, **body.mutated, **{name: 0 for name in body.declared}} if key not in targets]
        lost = [key for key in names if self._is_carried(key, body, surely, after)]
        lost = [key for key in lost if not self._is_handled(key, loop)]
        found = [Found(key, self.line_of(key, loop)) for key in lost]
        return sorted([*found, *self._restarting(loop, body, after)], key=lambda one: (one.line, one.name))

    def rest(self, statement_line: int, until: Optional[Loop]) -> List[ast.stmt]:
        """The statements that are still to be run behind a line, up to the end of a round of ``until``, or of the function."""
        node: Optional[ast.AST] = self._statement_at(statement_line)
        found: List[ast.stmt] = []
        while node is not None and node is not until and node is not self.node:
            parent = self.parents.get(node)
            for block in _blocks(parent):
                if node in block:
                    found += block[block.index(node) + 1 :]
            node = parent
        return found

    def is_bare_call(self, line: int) -> bool:
        """Whether the statement of this line is a call of which nothing is used."""
        statement = self._statement_at(line)
        return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)

    def bound_in(self, line: int) -> List[Key]:
        """What the statement of a line binds."""
        statement = self._statement_at(line)
        return _bound_by(statement) if statement is not None else []

    def begins_as(self, key: Key, line: int) -> Optional[ast.expr]:
        """The expression that a variable is set to in a line; None for a part of a tuple and the like."""
        for statement in self._bindings.get(key, []):
            if statement.lineno == line and isinstance(statement, (ast.Assign, ast.AnnAssign)):
                target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
                if isinstance(target, (ast.Tuple, ast.List)) and isinstance(statement.value, (ast.Tuple, ast.List)):
                    pairs = zip(target.elts, statement.value.elts)
                    return next((value for part, value in pairs if key_of(part) == key), None)
                return statement.value if key_of(target) == key else None
        return None

    # ---- inside ----

    def _is_carried(self, key: Key, body: Flow, surely: Optional[Set[Key]], after: Flow) -> bool:
        if key in body.mutated:
            # What a function is given is read by who called it.
            return key in body.read or key in after.read or "." in key or key in self.parameters
        if key in body.declared:
            return key in body.read or key in after.read
        if key in body.updated:
            return key in body.read or key in after.read or "." in key
        if key in body.exposed:
            return True
        return key in after.exposed and (surely is None or key not in surely)

    def _is_handled(self, key: Key, loop: Loop) -> bool:
        """The script keeps it itself, a state keeps it, or it is a clock."""
        if any(prefix in self.names.own or prefix in self.names.tracked for prefix in prefixes(key)):
            return True
        bindings = self._bindings.get(key, [])
        if any(self._mentions_run(statement) for statement in bindings if statement.lineno < loop.lineno):
            return True
        values = [value for value in map(_value_of, bindings) if value is not None]
        return bool(values) and (all(map(_is_clock, values)) or any(map(_is_bar, values)))

    def _begins_with_run(self, key: Key) -> bool:
        return any(self._mentions_run(statement) for statement in self._bindings.get(key, []))

    def _mentions_run(self, statement: ast.stmt) -> bool:
        """Also the condition that it stands under."""
        node: Optional[ast.AST] = statement
        while node is not None and node is not self.node:
            looked = node.test if isinstance(node, ast.If) else node if node is statement else None
            if any(key in self.names.own for key, _ in reads_in(looked)):
                return True
            node = self.parents.get(node)
        return False

    def _restarting(self, loop: Loop, body: Flow, after: Flow) -> List[Found]:
        """Counters and neighbours of the loop itself: ``enumerate``, ``zip``, and the rounds of a loop that is no run's."""
        if isinstance(loop, ast.While):
            return []
        iterated = loop.iter
        if not self._is_of_run(loop):
            if any(key in self.names.own or self._begins_with_run(key) for key, _ in reads_in(iterated)):
                return []
            names = targets_of(loop.target)
            return [Found(names[0] if names and names[0] != "_" else "the loop", loop.lineno)]
        found = []
        for name, is_index in _beside(iterated, loop.target, lambda node: self._is_wrapped(node)):
            reads = [node for node in ast.walk(ast.Module(loop.body, [])) if isinstance(node, ast.Name) and node.id == name]
            reads = [node for node in reads if isinstance(node.ctx, ast.Load) and not self._is_shown(node, loop)]
            moduli = [_modulus(node, self.parents) for node in reads] if is_index else [None] * len(reads)
            if not reads and name not in after.exposed:
                continue
            unless = tuple(sorted({text for text in moduli if text})) if None not in moduli and name not in after.exposed else ()
            found.append(Found(name, loop.lineno, unless))
        return found

    def _is_of_run(self, loop: Loop) -> bool:
        return self.is_over_epochs(loop) or self.is_over_batches(loop)

    def _iterates_wrapped(self, loop: Loop) -> bool:
        return not isinstance(loop, ast.While) and any(self._is_wrapped(node) for node in ast.walk(loop.iter))

    def _is_wrapped(self, node: ast.AST) -> bool:
        """``run.batches(…)``, or a name that it was given."""
        if _is_call(node, _LOADERS, self.names.run):
            return True
        key = key_of(node)
        if key is None:
            return False
        values = [value for value in map(_value_of, self._bindings.get(key, [])) if value is not None]
        return any(_is_call(inside, _LOADERS, self.names.run) for value in values for inside in ast.walk(value))

    def _is_shown(self, node: ast.AST, loop: Loop) -> bool:
        """It is printed, or decides that something is printed, and nothing else comes of it."""
        child: ast.AST = node
        parent = self.parents.get(node)
        while parent is not None and parent is not loop:
            if isinstance(parent, ast.Expr):
                return is_shown(parent)
            if isinstance(parent, ast.If) and child is parent.test:
                return all(map(is_shown, [*parent.body, *parent.orelse]))
            if isinstance(parent, ast.stmt):
                return False
            child, parent = parent, self.parents.get(parent)
        return False

    def _after(self, loop: Loop) -> Flow:
        """What is read behind the loop, around enclosing loops once."""
        flow = Flow()
        done: Optional[Set[Key]] = set()
        node: ast.AST = loop
        while node is not self.node:
            parent = self.parents.get(node)
            if parent is None:
                break
            for block in _blocks(parent):
                if node in block:
                    done = flow.run(block[block.index(node) + 1 :], done)
                    # Code behind a `return` is reached by another way.
                    done = set() if done is None else done
            if isinstance(parent, _LOOPS):
                if isinstance(parent, ast.While):
                    flow.use(parent.test, done or set())
                again = Flow()
                again.run(parent.body, {*(done or set()), *([] if isinstance(parent, ast.While) else targets_of(parent.target))})
                flow.exposed.update({key: line for key, line in again.exposed.items() if key not in flow.exposed})
                flow.read.update({key: line for key, line in again.exposed.items() if key not in flow.read})
            node = parent
        return flow

    def line_of(self, key: Key, loop: Loop) -> int:
        """Where a variable is set before the loop, or the loop's own line."""
        lines = [statement.lineno for statement in self._bindings.get(key, []) if statement.lineno < loop.lineno]
        return lines[-1] if lines else loop.lineno

    def _statement_at(self, line: int) -> Optional[ast.stmt]:
        """The innermost statement that a line belongs to."""
        found = [node for node in self._statements if node.lineno <= line <= _end(node)]
        return max(found, key=lambda node: (node.lineno, -_end(node))) if found else None


def analyse(source: str) -> Dict[str, List[Found]]:
    """All variables of a script that start again.

    Args:
        source: The text of a Python file.

    Returns:
        ``inside``: after a checkpoint inside of an epoch; ``across``: after one at an epoch's end as well.
    """
    tree = ast.parse(source)
    names = Names(tree)
    inside: Dict[Key, Found] = {}
    across: Dict[Key, Found] = {}
    for node in [tree, *(one for one in ast.walk(tree) if isinstance(one, _FUNCTIONS) and one is not tree)]:
        scope = Scope(node, names)
        for loop in scope.loops:
            within = [one for one in scope.loops if loop.lineno <= one.lineno <= _end(loop)]
            over_epochs = any(map(scope.is_over_epochs, within))
            if over_epochs or any(map(scope.is_over_batches, within)) or _steps(loop, names.run):
                for found in scope.starts_again(loop):
                    inside.setdefault(found.name, found)
                    if over_epochs:
                        across.setdefault(found.name, found)
    return {"inside": sorted(inside.values(), key=_order), "across": sorted(across.values(), key=_order)}


def _order(found: Found) -> Tuple[int, str]:
    return found.line, found.name


def _walk_own(node: ast.AST) -> Iterator[ast.AST]:
    """A scope without the functions inside of it."""
    pending: List[ast.AST] = [node]
    while pending:
        current = pending.pop()
        yield current
        if current is not node and isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        pending.extend(ast.iter_child_nodes(current))


def _blocks(node: Optional[ast.AST]) -> Iterator[List[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block


def _is_call(node: ast.AST, methods: Sequence[str], run_names: Set[Key]) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in methods:
        return False
    return key_of(node.func.value) in run_names


def _asks(loop: Loop, methods: Sequence[str], run_names: Set[Key]) -> bool:
    return not isinstance(loop, ast.While) and any(_is_call(node, methods, run_names) for node in ast.walk(loop.iter))


def _steps(loop: Loop, run_names: Set[Key]) -> bool:
    return any(_is_call(node, ("step",), run_names) for node in ast.walk(loop))


def _is_package(key: Key) -> bool:
    return key in ("torch", "torch.utils", "itertools", "np", "numpy")


def _is_init(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and key_of(node.func) in ("trainstash.init", "init")


def _bound_by(statement: ast.AST) -> List[Key]:
    if isinstance(statement, ast.Assign):
        return [key for target in statement.targets for key in targets_of(target)]
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        return targets_of(statement.target)
    return []


def _value_of(statement: ast.stmt) -> Optional[ast.expr]:
    return getattr(statement, "value", None)


def _is_clock(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and (key_of(value.func) or "").rpartition(".")[2] in _CLOCKS


def _is_bar(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and (key_of(value.func) or "").rpartition(".")[2] in _BARS


def is_shown(statement: ast.stmt) -> bool:
    """Whether a statement shows something, and computes nothing that is used."""
    if isinstance(statement, ast.Pass):
        return True
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    return (key_of(statement.value.func) or "").rpartition(".")[2] in _SHOW


def _beside(iterated: ast.expr, target: ast.expr, is_wrapped: object) -> Iterator[Tuple[str, bool]]:
    """Names that are given beside the batches, and whether they count them."""
    assert callable(is_wrapped)
    name = (key_of(iterated.func) or "").rpartition(".")[2] if isinstance(iterated, ast.Call) else ""
    if not isinstance(iterated, ast.Call) or not iterated.args or is_wrapped(iterated):
        return
    parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
    if name == "enumerate" and len(parts) == 2:
        for key in targets_of(parts[0]):
            yield key, True
        yield from _beside(iterated.args[0], parts[1], is_wrapped)
    elif name == "zip" and len(parts) == len(iterated.args):
        for argument, part in zip(iterated.args, parts):
            if any(is_wrapped(node) for node in ast.walk(argument)):
                yield from _beside(argument, part, is_wrapped)
            else:
                counts = isinstance(argument, ast.Call) and (key_of(argument.func) or "").endswith("count")
                yield from ((key, counts) for key in targets_of(part))
    elif name not in ("enumerate", "zip"):
        # A progress bar and the like hand on what they are given.
        yield from _beside(iterated.args[0], target, is_wrapped)


def _modulus(node: ast.AST, parents: Dict[ast.AST, ast.AST]) -> Optional[str]:
    """``k`` where a counter is read in ``(i + 1) % k``: it comes out right after a multiple of ``k`` batches."""
    parent = parents.get(node)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Add, ast.Sub)):
        other = parent.right if parent.left is node else parent.left
        if not isinstance(other, ast.Constant):
            return None
        node, parent = parent, parents.get(parent)
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mod) and parent.left is node:
        return ast.unparse(parent.right)
    return None


def _end(node: ast.AST) -> int:
    return int(getattr(node, "end_lineno", 0) or 0)
