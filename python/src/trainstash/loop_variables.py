"""Variables of a script that start again on a resume: found in its text alone, by rules that another parser can follow.

A resume runs the script from its beginning. Whatever a loop carries from one round to the next in plain variables is then as
it was before the first round. Two questions matter: what is lost by a checkpoint inside of an epoch, and what by one at an
epoch's end. The list does not claim to be whole: it knows names, attributes of names, and changes in place by methods that
containers have.
"""

from __future__ import annotations

import ast
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from .flow import Flow, Key, key_of, prefixes, reads_in, root_of, targets_of
from .function_reads import Functions
from .syntax import (
    LOOPS,
    Loop,
    asks,
    beside,
    blocks,
    bound_by,
    end_of,
    has_steps,
    is_bar,
    is_call_of,
    is_clock,
    is_init,
    is_package,
    is_shown,
    modulus,
    value_of,
    walk_own,
)

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_LEAVES = (ast.Continue, ast.Break, ast.Return)
_LOADERS = ("batches", "forever")
# Methods that tell that an object is the run.
_OF_RUN = ("epochs", "batches", "forever", "checkpoint")


def _nothing(_: Key) -> FrozenSet[Key]:
    return frozenset()


class Found(NamedTuple):
    """A variable that starts again. ``line`` is where it is set before the loop, or the loop's own. ``unless``: expressions
    of which the number of batches read so far may be a multiple; then the variable comes out right."""

    name: Key
    line: int
    unless: Tuple[str, ...] = ()


class Names:
    """The names that a file gives to the run and to what keeps values for it, and the names that it tracks."""

    def __init__(self, tree: ast.AST) -> None:
        self.run: Set[Key] = set()
        self.tracked: Set[Key] = set()
        #: Names that an ``import`` gives, and those that ``from … import`` gives: modules, and whatever a module holds.
        self.modules: Set[str] = set()
        self.imported: Set[str] = set()
        #: Names that a function binds outside of itself, by the function's name.
        self.declared: Dict[str, Set[str]] = {}
        self.functions = Functions()
        states: List[Tuple[ast.expr, List[Key]]] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Assign):
                if is_init(node.value):
                    self.run.update(key for target in node.targets for key in targets_of(target))
                elif isinstance(node.value, ast.Call):
                    self.functions.made(node.targets, node.value)
                    states.append((node.value, [key for target in node.targets for key in targets_of(target)]))
            elif isinstance(node, ast.Import):
                self.modules.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                self.imported.update(alias.asname or alias.name for alias in node.names)
            elif isinstance(node, ast.ClassDef):
                self.functions.add(node)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions.add(node)
                names = {name for one in node.body if isinstance(one, (ast.Global, ast.Nonlocal)) for name in one.names}
                if names:
                    self.declared.setdefault(node.name, set()).update(names)
        #: The run itself, and what ``run.state`` gave.
        self.own = set(self.run)
        for value, keys in states:
            if is_call_of(value, ("state",), self.run):
                self.own.update(keys)

    def _call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            key = key_of(function.value)
            if key and function.attr in _OF_RUN and not is_package(key):
                self.run.add(key)
        if is_init(node) or (isinstance(function, ast.Attribute) and function.attr == "track"):
            self.tracked.update(key for word in node.keywords for key in [key_of(word.value)] if key and word.arg != "params")


class Scope:
    """One function, or the module."""

    def __init__(self, node: ast.AST, names: Names) -> None:
        self.node = node
        self.names = names
        self.nodes = list(walk_own(node))
        self.parents: Dict[ast.AST, ast.AST] = {child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)}
        self.loops = sorted((one for one in self.nodes if isinstance(one, LOOPS)), key=lambda one: (one.lineno, -end_of(one)))
        arguments = getattr(node, "args", None)
        # What functions read from outside are names of the module.
        self._inner = names.functions.read_by if isinstance(node, ast.Module) else _nothing
        self.parameters = {inside.arg for inside in ast.walk(arguments) if isinstance(inside, ast.arg)} if arguments else set()
        self._statements = [one for one in self.nodes if isinstance(one, ast.stmt)]
        self._bindings: Dict[Key, List[ast.stmt]] = {}
        for statement in sorted(self._statements, key=lambda one: one.lineno):
            for key in bound_by(statement):
                self._bindings.setdefault(key, []).append(statement)

    def loops_around(self, line: int) -> List[Loop]:
        """Returns the loops that a line stands in, the outermost first. The line of a ``for`` itself counts as inside."""
        return [loop for loop in self.loops if loop.lineno <= line <= end_of(loop)]

    def is_over_epochs(self, loop: Loop) -> bool:
        return asks(loop, ("epochs",), self.names.run)

    def is_over_batches(self, loop: Loop) -> bool:
        return asks(loop, _LOADERS, self.names.run) or self._iterates_wrapped(loop)

    def starts_again(self, loop: Loop) -> List[Found]:
        """Finds what is lost when the loop is entered anew in the middle of its rounds. Kept with the loop: each checkpoint asks."""
        known: Optional[List[Found]] = getattr(loop, "trainstash_again", None)
        if known is None:
            known = loop.trainstash_again = self._starting_again(loop)  # type: ignore[union-attr]
        return known

    def _starting_again(self, loop: Loop) -> List[Found]:
        body = Flow(self._inner)
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
        """Returns the statements that are still to be run behind a line, up to the end of a round of ``until``, or of the function."""
        node: Optional[ast.AST] = self._statement_at(statement_line)
        found: List[ast.stmt] = []
        while node is not None and node is not until and node is not self.node:
            parent = self.parents.get(node)
            following = next((block[block.index(node) + 1 :] for block in blocks(parent) if node in block), [])
            end = next((n for n, one in enumerate(following) if isinstance(one, _LEAVES)), None)
            found += following[:end]
            node = parent if end is None else self._left_by(following[end], until)
        return found

    def _left_by(self, statement: ast.stmt, until: Optional[Loop]) -> Optional[ast.AST]:
        """Returns the loop whose round or rest a statement leaves out; None: the function's, or that of ``until``."""
        loop = self.parents.get(statement)
        while loop is not None and loop is not self.node and (isinstance(statement, ast.Return) or not isinstance(loop, _LOOPS)):
            if getattr(loop, "finalbody", None):
                return self.parents.get(statement)  # What a `finally` does comes all the same.
            loop = self.parents.get(loop)
        return None if loop is until or isinstance(statement, ast.Return) else loop

    def is_bare_call(self, line: int) -> bool:
        """Tells whether the statement of this line is a call of which nothing is used."""
        statement = self._statement_at(line)
        return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)

    def bound_in(self, line: int) -> List[Key]:
        """Lists the names that the statement of a line binds."""
        statement = self._statement_at(line)
        return bound_by(statement) if statement is not None else []

    def begins_as(self, key: Key, line: int) -> Optional[ast.expr]:
        """Returns the expression that a variable is set to in a line; None for a part of a tuple and the like."""
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
            # A function's argument is read by its caller.
            return key in body.read or key in after.read or "." in key or key in self.parameters
        if key in body.declared:
            return key in body.read or key in after.read
        if key in body.updated:
            return key in body.read or key in after.read or "." in key
        if key in body.exposed:
            return True
        return key in after.exposed and (surely is None or key not in surely)

    def _is_handled(self, key: Key, loop: Loop) -> bool:
        """Tells whether a variable is handled: the script keeps it itself, a state keeps it, or it is a clock."""
        if any(prefix in self.names.own or prefix in self.names.tracked for prefix in prefixes(key)):
            return True
        # `torch.nn.utils.clip_grad_norm_` changes no module.
        if root_of(key) in self.names.modules or ("." in key and root_of(key) in self.names.imported):
            return True
        bindings = self._bindings.get(key, [])
        if any(self._mentions_run(statement) for statement in bindings if statement.lineno < loop.lineno):
            return True
        values = [value for value in map(value_of, bindings) if value is not None]
        return bool(values) and (all(map(is_clock, values)) or any(map(is_bar, values)))

    def _begins_with_run(self, key: Key) -> bool:
        return any(self._mentions_run(statement) for statement in self._bindings.get(key, []))

    def _mentions_run(self, statement: ast.stmt) -> bool:
        """Tells whether a statement, or a condition that it stands under, reads the run."""
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
        for name, is_index in beside(iterated, loop.target, lambda node: self._is_wrapped(node)):
            reads = [node for node in ast.walk(ast.Module(loop.body, [])) if isinstance(node, ast.Name) and node.id == name]
            reads = [node for node in reads if isinstance(node.ctx, ast.Load) and not self._is_shown(node, loop)]
            moduli = [modulus(node, self.parents) for node in reads] if is_index else [None] * len(reads)
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
        """Recognizes ``run.batches(…)``, or a name that it was given."""
        if is_call_of(node, _LOADERS, self.names.run):
            return True
        key = key_of(node)
        if key is None:
            return False
        values = [value for value in map(value_of, self._bindings.get(key, [])) if value is not None]
        return any(is_call_of(inside, _LOADERS, self.names.run) for value in values for inside in ast.walk(value))

    def _is_shown(self, node: ast.AST, loop: Loop) -> bool:
        """Tells whether a value is printed, or decides that something is printed, and nothing else comes of it."""
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
        """Collects what is read behind the loop, around enclosing loops once."""
        flow = Flow(self._inner)
        done: Optional[Set[Key]] = set()
        node: ast.AST = loop
        while node is not self.node:
            parent = self.parents.get(node)
            if parent is None:
                break
            for block in blocks(parent):
                if node in block:
                    done = flow.run(block[block.index(node) + 1 :], done)
                    # Code behind a `return` is reached by another way.
                    done = set() if done is None else done
            if isinstance(parent, LOOPS):
                if isinstance(parent, ast.While):
                    flow.use(parent.test, done or set())
                again = Flow(self._inner)
                again.run(parent.body, {*(done or set()), *([] if isinstance(parent, ast.While) else targets_of(parent.target))})
                flow.exposed.update({key: line for key, line in again.exposed.items() if key not in flow.exposed})
                flow.read.update({key: line for key, line in again.exposed.items() if key not in flow.read})
            node = parent
        return flow

    def called_in_loops(self) -> Set[str]:
        """Lists the functions that the loops call, without what they are attributes of."""
        calls = [node for loop in self.loops for node in ast.walk(loop) if isinstance(node, ast.Call)]
        return {(key_of(call.func) or "").rpartition(".")[2] for call in calls}

    def line_of(self, key: Key, loop: Loop) -> int:
        """Returns the line in which a variable is set before the loop, or the loop's own line."""
        lines = [statement.lineno for statement in self._bindings.get(key, []) if statement.lineno < loop.lineno]
        return lines[-1] if lines else loop.lineno

    def _statement_at(self, line: int) -> Optional[ast.stmt]:
        """Returns the innermost statement that a line belongs to."""
        found = [node for node in self._statements if node.lineno <= line <= end_of(node)]
        return max(found, key=lambda node: (node.lineno, -end_of(node))) if found else None


def analyse(source: str) -> Dict[str, List[Found]]:
    """Finds all variables of a script that start again.

    Args:
        source: The text of a Python file.

    Returns:
        ``inside``: after a checkpoint inside of an epoch; ``across``: after one at an epoch's end as well.
    """
    tree = ast.parse(source)
    names = Names(tree)
    inside_of: Dict[Scope, Dict[Key, Found]] = {}
    all_across: List[Found] = []
    for node in [tree, *(one for one in ast.walk(tree) if isinstance(one, _FUNCTIONS) and one is not tree)]:
        scope = Scope(node, names)
        inside: Dict[Key, Found] = {}
        across: Dict[Key, Found] = {}
        for loop in scope.loops:
            within = [one for one in scope.loops if loop.lineno <= one.lineno <= end_of(loop)]
            over_epochs = any(map(scope.is_over_epochs, within))
            if over_epochs or any(map(scope.is_over_batches, within)) or has_steps(loop, names.run):
                for found in scope.starts_again(loop):
                    inside.setdefault(found.name, found)
                    if over_epochs:
                        across.setdefault(found.name, found)
        inside_of[scope] = inside
        all_across += across.values()
    names_in = [(getattr(scope.node, "name", None), inside) for scope, inside in inside_of.items() if inside]
    all_inside: List[Found] = []
    for scope, inside in inside_of.items():
        called = scope.called_in_loops() if inside else ()
        # A function that carries on what it is given is told of, and not whoever calls it as well.
        told = {key for name, keys in names_in if name in called for key in keys}
        all_inside += [found for name, found in inside.items() if name not in told]
    return {"inside": sorted(all_inside, key=_order), "across": sorted(all_across, key=_order)}


def _order(found: Found) -> Tuple[int, str]:
    return found.line, found.name
