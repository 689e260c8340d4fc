"""Values that are others in each process, such as clocks, and whether the training depends on them: most loops only show them. A value is
followed through names, attributes, arguments and results; what is not known to be harmless counts as a dependence."""

from __future__ import annotations

import ast
from types import CodeType, FunctionType, ModuleType
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .code_parts import Part, bound_by, branches_of, following, parents_in, part_of_function
from .findings import DEPENDS
from .flow import COMPUTES, COMPUTING_MODULES, MUTATORS, key_of, prefixes, root_of
from .outside_reads import Read, outside_reads, reads_from_outside
from .script import shown_file
from .steadiness import entropy_in, globals_read, makes_sets, names_read
from .trained_by import is_trained, trains

_CLOCKS = frozenset(
    """time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time thread_time_ns clock_gettime
    clock_gettime_ns localtime gmtime ctime strftime""".split()
)
_OF_OS = frozenset("getpid getppid times getloadavg".split())
_NOW = frozenset("now utcnow today".split())
_MODULES = frozenset(["resource", "psutil"])
#: Names without one of which nothing has to be followed.
_SOURCES = _CLOCKS | _OF_OS | _NOW | frozenset("id get_ident getrusage psutil get_count set frozenset".split())
_SHOW = frozenset(
    """print info debug warning error critical log write writelines writerow set_postfix set_postfix_str set_description add_scalar add_scalars
    add_text log_metrics log_metric record dump flush sleep checkpoint save""".split()
)
# Names of what shows a value by its `step`, where the object is not known: that of an optimizer or a schedule trains.
_SHOW_STEPS = frozenset("run prof profiler".split())
# Modules whose functions do something to the system, and nothing to a training.
_OUTSIDE = frozenset("os signal sys shutil json pickle csv logging warnings subprocess gc".split())
# Methods that change a file or a folder alone, and functions that read on from what an open file gives.
_ONLY_OUTSIDE = frozenset("mkdir makedirs unlink remove rmtree rename replace touch copyfile copy2 move write_text write_bytes".split())
_READS_ON = frozenset("open load loads read readline readlines read_text splitlines split strip reader DictReader Path glob iterdir listdir join".split())
_MAKES_TEXT = frozenset("format strftime isoformat total_seconds timedelta timestamp join divmod item tolist rjust ljust dumps".split())
_NO_ORDER = frozenset("sorted min max any all len set frozenset".split())
_ORDERED = frozenset("list tuple enumerate iter zip map next reversed".split())
_PASSED_ON = (
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.FormattedValue, ast.JoinedStr, ast.Tuple, ast.List, ast.Dict, ast.Set,
    ast.Starred, ast.keyword, ast.Slice, ast.Subscript, ast.Attribute, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp, ast.Await,
    ast.Lambda,
)  # fmt: skip
_LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_ROUNDS = 5

# ("name", number of the function or None, key), ("attribute", None, name) or ("result", None, name of the function).
_Token = Tuple[str, Optional[int], str]


class Dependence(NamedTuple):
    """A value that the training depends on: its name, a reason, and its place. ``is_drawn``: it is another in each process."""

    name: str
    why: str
    where: str
    is_drawn: bool = True


def dependence(loop: Part, before: Mapping[str, ast.expr], functions: Iterable[FunctionType]) -> Optional[Dependence]:
    """Finds the first value that is another in each process and that the training depends on.

    Args:
        loop: The loops.
        before: The names that are set before the loops, with the expressions that they are set to.
        functions: Functions of the script that the loops reach.
    """
    reached = [one for one in functions if one.__code__.co_name not in ("__init__", "<module>")]
    looked_at = [(loop.code, loop.spaces), *((one.__code__, one.__globals__) for one in reached)]
    reads_outside = any(reads_from_outside(code, spaces) for code, spaces in looked_at)
    if not reads_outside and not any(_SOURCES & names_read(code) or _has_sets(code, spaces) for code, spaces in looked_at):
        return None
    parts = [(one, part_of_function(one)) for one in reached]
    unread = [(one, entropy_in(one.__code__, one.__globals__, clocks=True)) for one, part in parts if part is None]
    for function, found in unread:
        if found is not None:
            return Dependence(f"`{found[0]}`", DEPENDS, f"{shown_file(function.__code__)}:{found[1]}")
    readable = [loop, *(part for _, part in parts if part is not None)]
    return _Followed(readable, before, outside_reads(readable) if reads_outside else {}).find()


class _Followed:
    def __init__(self, parts: List[Part], before: Mapping[str, ast.expr], reads: Mapping[ast.AST, Read]) -> None:
        self._parts = parts
        self._reads = reads
        self._reasons = {read.name: read for read in reads.values()}
        # With the name of what each value comes from.
        self._tokens: Dict[_Token, str] = {}
        self._origin = ""
        self._judged: Set[ast.stmt] = set()
        self._by_name = {part.code.co_name: number for number, part in enumerate(parts) if number > 0}
        for name, value in before.items():
            if _is_made_of_clocks(value, parts[0].spaces):
                self._tokens[self._token(name, 0)] = name

    def find(self) -> Optional[Dependence]:
        for _ in range(_ROUNDS):
            known = len(self._tokens)
            for number, part in enumerate(self._parts):
                for node in part.nodes:
                    found = self._look(node, number)
                    if found is not None:
                        return found
            if len(self._tokens) == known:
                return None
        return None

    def _look(self, node: ast.AST, number: int) -> Optional[Dependence]:
        part = self._parts[number]
        read = self._reads.get(node)
        origin = read.name if read is not None else _source(node, part) or self._origin_of(node, number)
        if origin is None:
            ordered = _ordered_set(node, part)
            return None if ordered is None else self._found(ordered, "is a set, whose order is another in each process", node, part)
        self._origin = origin
        self._judged.clear()
        if (line := self._climb(node, number)) is None:
            return None
        reason = self._reasons.get(self._origin)
        return self._found(self._origin, DEPENDS, line, part) if reason is None else Dependence(f"`{reason.name}`", reason.why, reason.where, is_drawn=False)

    def _found(self, name: str, why: str, node: ast.AST, part: Part) -> Dependence:
        return Dependence(f"`{name}`", why, f"{shown_file(part.code)}:{getattr(node, 'lineno', part.code.co_firstlineno)}")

    def _token(self, key: str, number: int) -> _Token:
        return ("name", number if root_of(key) in self._parts[number].own else None, key)

    def _origin_of(self, node: ast.AST, number: int) -> Optional[str]:
        """Returns what the value of a name, an attribute or a call comes from, if that is another one in each process."""
        if isinstance(node, ast.Call):
            return self._tokens.get(("result", None, _called(node, self._parts[number])))
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            return None
        key = key_of(node)
        known = self._tokens.get(("attribute", None, node.attr)) if isinstance(node, ast.Attribute) else None
        return known or (self._tokens.get(self._token(key, number)) if key is not None else None)

    def _climb(self, node: ast.AST, number: int) -> Optional[ast.AST]:
        """Follows a value to where it is used; returns the node by which the training depends on it."""
        parents = self._parts[number].parents
        child, parent = node, parents.get(node)
        while parent is not None:
            if isinstance(parent, ast.Call):
                ends, problem = self._call(parent, child, number)
                if ends:
                    return problem
            elif isinstance(parent, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
                return self._assign(parent, child, number)
            elif isinstance(parent, ast.withitem):
                if parent.optional_vars is not None:
                    self._taint(parent.optional_vars, number)
                return None
            elif isinstance(parent, ast.comprehension) and child is parent.iter:
                # How many there are is told by the whole.
                self._taint(parent.target, number)
            elif isinstance(parent, ast.For) and child is parent.iter:
                self._taint(parent.target, number)
                return None
            elif isinstance(parent, (ast.If, ast.While)) and child is parent.test:
                return None if _is_in_wait(parent, parents) else self._block([*parent.body, *parent.orelse], number)
            elif isinstance(parent, ast.Return) or (isinstance(parent, ast.Lambda) and parents.get(parent) is None):
                self._tokens.setdefault(("result", None, self._parts[number].code.co_name), self._origin)
                return None
            elif isinstance(parent, (ast.Expr, ast.Assert, ast.Delete)):
                return None
            elif isinstance(parent, ast.comprehension):
                child, parent = parent, parents.get(parent)
                continue
            elif not isinstance(parent, _PASSED_ON) or (isinstance(parent, (ast.Attribute, ast.Subscript)) and not isinstance(parent.ctx, ast.Load)):
                return None if isinstance(parent, (ast.Attribute, ast.Subscript)) else parent
            child, parent = parent, parents.get(parent)
        return node

    def _call(self, call: ast.Call, child: ast.AST, number: int) -> Tuple[bool, Optional[ast.AST]]:
        """Tells whether the way of a value ends with a call, and the node by which the training depends on it."""
        if child is call.func:
            return trains(call), call
        key = key_of(call.func) or str(getattr(call.func, "attr", ""))
        name = _called(call, self._parts[number])
        is_statement = isinstance(self._parts[number].parents.get(call), ast.Expr)
        other = self._by_name.get(name)
        if other is not None:
            parameters = self._parts[other].parameters
            skipped = 1 if parameters[:1] == ["self"] else 0
            given = {id(value): parameter for parameter, value in zip(parameters[skipped:], call.args)}
            given.update({id(word): str(word.arg) for word in call.keywords})
            if id(child) not in given:
                return True, call
            self._tokens.setdefault(("name", other, given[id(child)]), self._origin)
            return True, None
        if (is_statement and (self._shows(call, name, number) or root_of(key) in _OUTSIDE)) or name in _ONLY_OUTSIDE:
            return True, None
        if is_statement and name not in MUTATORS:
            return True, call  # Such as a seed that is set.
        if name in COMPUTES or name in _MAKES_TEXT or name in _READS_ON or ("." in key and root_of(key) in COMPUTING_MODULES):
            return False, None
        receiver = key_of(call.func.value) if isinstance(call.func, ast.Attribute) else None
        if receiver and name in MUTATORS:
            self._tokens.setdefault(self._token(receiver, number), self._origin)
            return is_statement, None
        return True, call

    def _assign(self, node: ast.AST, child: ast.AST, number: int) -> Optional[ast.AST]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]  # type: ignore[attr-defined]
        if child is not (value := node.value):  # type: ignore[attr-defined]
            return None
        if any(is_trained(target, self._parts[number]) for target in targets):
            return node
        for target in targets:
            if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)) and len(target.elts) == len(value.elts):
                for part, given in zip(target.elts, value.elts):
                    if any(self._origin_of(one, number) or _source(one, self._parts[number]) for one in ast.walk(given)):
                        self._taint(part, number)
            else:
                self._taint(target, number)
        return None

    def _taint(self, target: ast.AST, number: int) -> None:
        for inside in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            while isinstance(inside, (ast.Subscript, ast.Starred)):
                inside = inside.value
            key = key_of(inside)
            if key is None:
                continue
            self._tokens.setdefault(self._token(key, number), self._origin)
            if isinstance(inside, ast.Attribute) and root_of(key) == "self":
                self._tokens.setdefault(("attribute", None, inside.attr), self._origin)

    def _block(self, statements: Sequence[ast.stmt], number: int) -> Optional[ast.AST]:
        """Judges what a condition decides: what is shown and saved does not matter, and what is set is such a value as well."""
        return next(filter(None, (self._decided(one, number) for one in statements)), None)

    def _decided(self, statement: ast.stmt, number: int) -> Optional[ast.AST]:
        if statement in self._judged or isinstance(statement, ast.Pass):
            return None
        self._judged.add(statement)
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                if is_trained(target, self._parts[number]):
                    return statement
                self._taint(target, number)
            return None
        if isinstance(statement, (ast.If, ast.While, ast.For, ast.With, ast.Try)):
            for target in bound_by(statement):
                self._taint(target, number)
            return self._block(branches_of(statement), number)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            return self._decided_call(statement, statement.value, number)
        return self._left(statement, number) if isinstance(statement, _LEAVES) else statement

    def _decided_call(self, statement: ast.stmt, call: ast.Call, number: int) -> Optional[ast.AST]:
        key = key_of(call.func) or ""
        name = key.rpartition(".")[2] or str(getattr(call.func, "attr", ""))
        receiver = key_of(call.func.value) if isinstance(call.func, ast.Attribute) else None
        if name in self._by_name and not isinstance(self._parts[number].spaces.get(root_of(key)), ModuleType):
            return statement
        if self._shows(call, name, number) or name in _ONLY_OUTSIDE or root_of(key) in _OUTSIDE:
            return None
        if receiver and name in MUTATORS:
            self._tokens.setdefault(self._token(receiver, number), self._origin)
            return None
        return statement

    def _shows(self, call: ast.Call, name: str, number: int) -> bool:
        if name != "step":
            return name in _SHOW
        receiver = key_of(call.func.value) if isinstance(call.func, ast.Attribute) else None
        value = self._parts[number].spaces.get(receiver) if receiver is not None else None
        if value is None:
            return receiver is not None and receiver.rpartition(".")[2] in _SHOW_STEPS
        return type(value).__module__.startswith(("trainstash.", "torch.profiler"))

    def _left(self, statement: ast.stmt, number: int) -> Optional[ast.AST]:
        """Judges what is left out where a condition decides to go: the rest of the function, or of this round of a loop."""
        if isinstance(statement, ast.Return) and statement.value is not None:
            self._tokens.setdefault(("result", None, self._parts[number].code.co_name), self._origin)
        child: ast.AST = statement
        parent = (parents := self._parts[number].parents).get(child)
        while parent is not None:
            is_loop = isinstance(parent, (ast.For, ast.While))
            # The outermost loop is the training's own.
            if is_loop and parents.get(parent) is None:
                return statement
            # All further rounds are left out, but for a `continue`.
            left_out = branches_of(parent) if is_loop and not isinstance(statement, ast.Continue) else following(child, parent)  # type: ignore[arg-type]
            problem = self._block(left_out, number)
            is_end = is_loop and isinstance(statement, (ast.Break, ast.Continue))
            if problem is not None or is_end or isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return problem
            child, parent = parent, parents.get(parent)
        return statement


def _is_in_wait(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Tells whether a condition belongs to a loop that does nothing but wait: when it ends makes no difference to a training."""
    loop: Optional[ast.AST] = node
    while loop is not None and not isinstance(loop, (ast.For, ast.While)):
        loop = parents.get(loop)
    # The outermost loop is the training's own.
    return loop is not None and parents.get(loop) is not None and all(map(_only_waits, [*loop.body, *loop.orelse]))


def _only_waits(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return all(map(_only_waits, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return (key_of(statement.value.func) or "").rpartition(".")[2] in ("sleep", "print")
    return isinstance(statement, (ast.Pass, ast.Break, ast.Continue))


def _called(call: ast.Call, part: Part) -> str:
    """Returns the name of the function that is called, which may have another one here."""
    key = key_of(call.func) or str(getattr(call.func, "attr", ""))
    value = part.spaces.get(key) if key not in part.own else None
    return value.__code__.co_name if isinstance(value, FunctionType) else key.rpartition(".")[2]


def _source(node: ast.AST, part: Part) -> Optional[str]:
    """Returns the name of a call that gives another value in each process."""
    if not isinstance(node, ast.Call):
        return None
    key = key_of(node.func)
    if key is None:
        return None
    name = key.rpartition(".")[2]
    if key == "id" and "id" not in part.spaces:
        # An identity is mostly a key; a number is made of it by computing.
        return "id" if isinstance(part.parents.get(node), ast.BinOp) else None
    value = part.spaces.get(root_of(key))
    for one in prefixes(key)[1:]:
        value = getattr(value, one.rpartition(".")[2], None) if isinstance(value, (ModuleType, type)) else None
    module = getattr(value, "__module__", None)
    real = getattr(value, "__name__", "")
    owner = getattr(value, "__self__", None)
    clock = module == "time" and real in _CLOCKS and not (real in ("strftime", "localtime", "gmtime", "ctime") and len(node.args) > (real == "strftime"))
    date = isinstance(owner, type) and owner.__module__ == "datetime" and real in _NOW
    system = (module in ("posix", "nt") and real in _OF_OS) or module in _MODULES or (real == "get_ident") or (real == "get_count" and module == "gc")
    return name if clock or date or system else None


def _is_made_of_clocks(value: ast.expr, spaces: Mapping[str, Any]) -> bool:
    """Tells whether an expression is a clock, or plain arithmetic with one."""
    part = Part([], parents_in(value), spaces, _is_made_of_clocks.__code__, frozenset(), frozenset(), [])
    if isinstance(value, ast.BinOp):
        return _is_made_of_clocks(value.left, spaces) or _is_made_of_clocks(value.right, spaces)
    if isinstance(value, ast.Call) and key_of(value.func) in COMPUTES:
        return any(_is_made_of_clocks(one, spaces) for one in value.args)
    return _source(value, part) is not None


def _ordered_set(node: ast.AST, part: Part) -> Optional[str]:
    """Returns the name of a set whose order is used."""
    if isinstance(node, ast.For):
        body: List[ast.AST] = list(node.body)
        shown = all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) and (key_of(one.value.func) or "").rpartition(".")[2] in _SHOW for one in body)
        return None if shown else _set_of(node.iter, part)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
        outer = part.parents.get(node)
        if isinstance(outer, ast.Call) and (key_of(outer.func) or "") in _NO_ORDER:
            return None
        return next(filter(None, (_set_of(one.iter, part) for one in node.generators)), None)
    if isinstance(node, ast.Call) and key_of(node.func) in _ORDERED:
        outer = part.parents.get(node)
        if isinstance(outer, ast.Call) and (key_of(outer.func) or "") in _NO_ORDER:
            return None
        return next(filter(None, (_set_of(one, part) for one in node.args)), None)
    return None


def _has_sets(code: CodeType, spaces: Mapping[str, Any]) -> bool:
    return makes_sets(code) or any(isinstance(spaces.get(name), (set, frozenset)) for name in globals_read(code))


def _set_of(node: ast.AST, part: Part) -> Optional[str]:
    """Returns a name for an expression that is a set of other things than numbers."""
    if isinstance(node, ast.Set):
        return None if all(isinstance(one, ast.Constant) and _is_number(one.value) for one in node.elts) else "{…}"
    if isinstance(node, ast.Call) and key_of(node.func) in ("set", "frozenset") and key_of(node.func) not in part.spaces:
        return None if not node.args or _holds_numbers(node.args[0], part) else "set"
    key = key_of(node)
    value = part.spaces.get(key) if key is not None and "." not in key and key not in part.own else None
    if isinstance(value, (set, frozenset)) and not all(map(_is_number, value)):
        return key
    return None


def _holds_numbers(node: ast.AST, part: Part) -> bool:
    if any(isinstance(one, ast.Attribute) and one.attr in ("tolist", "numpy") for one in ast.walk(node)):
        return True
    value = part.spaces.get(key_of(node) or "")
    try:
        return isinstance(value, (list, tuple, set, dict, range)) and all(map(_is_number, value))
    except Exception:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
