"""The text of a frame's function, read once; and the values of its names, looked at and never changed."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
import sys
import textwrap
from types import CodeType, FrameType
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from .clearing import clears_now_and_then
from .flow import Key, key_of, reads_in
from .loop_variables import Names, Scope
from .syntax import Loop

_SNAPSHOTS = sys.version_info < (3, 13)
_PLAIN = (int, float, str, bool, bytes, type(None))
#: Files longer than this are parsed function by function.
_WHOLE_FILE_LINES = 400


class Source(NamedTuple):
    scope: Scope
    #: True: gradients are cleared in some steps and not in others.
    clears_now_and_then: bool
    #: True: something in the file asks for epochs or batches.
    has_loops: bool


def source_of(frame: FrameType) -> Optional[Source]:
    """Finds the source that a frame runs; None for code without a text, such as that of ``exec``, or whose text is no Python any more."""
    code = frame.f_code
    if code not in _sources:
        try:
            _sources[code] = _read(frame)
        except (SyntaxError, ValueError, IndexError, RecursionError):
            _sources[code] = None
    return _sources[code]


@functools.lru_cache(maxsize=4096)
def definition_of(code: CodeType) -> Optional[ast.AST]:
    """Finds the text of a function; None where nobody can read it, or where a line has several lambdas."""
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return None
    try:
        tree = _parsed(code.co_filename, "".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return None
    if code.co_name == "<lambda>":
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno]
        return found[0] if len(found) == 1 else _lambda_at(found, code)
    return _definition(tree, code)


def _lambda_at(found: List[ast.Lambda], code: CodeType) -> Optional[ast.AST]:
    """Returns the lambda of a line whose body the code's columns lie in; before Python 3.11 code has no columns."""
    positions = [one for one in getattr(code, "co_positions", tuple)() if one[0] is not None and one[2] is not None]
    places = [(line, column) for line, _, column, _ in positions if column > 0 or line > code.co_firstlineno]
    if not places:
        return None
    inside = [
        node for node in found
        if all((node.body.lineno, node.body.col_offset) <= place < (node.body.end_lineno, node.body.end_col_offset) for place in places)
    ]  # fmt: skip
    # The innermost of those that stand in each other.
    return max(inside, key=lambda node: node.body.col_offset, default=None)


def values_of(frame: FrameType, keys: Iterable[Key]) -> Dict[Key, Any]:
    """Looks up the values of names, and of attributes that are plain ones, as far as they are bound."""
    found: Dict[Key, Any] = {}
    snapshot = frame.f_locals
    for key in keys:
        root, _, rest = key.partition(".")
        if root in snapshot:
            value = snapshot[root]
        elif root in frame.f_globals:
            value = frame.f_globals[root]
        else:
            continue
        for name in rest.split(".") if rest else []:
            # Not `getattr`: a property may do something.
            value = _attributes(value).get(name, _MISSING)
            if value is _MISSING:
                break
        if value is not _MISSING:
            found[key] = value
    if _SNAPSHOTS and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        # It stays in the frame, and would keep batches and graphs alive.
        for name in [name for name, value in snapshot.items() if type(value) not in _PLAIN]:
            del snapshot[name]
    return found


def number_in(frame: FrameType, text: ast.expr) -> Optional[int]:
    """Evaluates an expression of names and attributes to the whole number that it is now; nothing is called."""
    if isinstance(text, ast.Constant):
        value = text.value
    else:
        key = key_of(text) if not isinstance(text, ast.Subscript) else None
        if key is not None:
            value = values_of(frame, [key]).get(key)
            value = value if value is not None else _looked_up(frame, key)
        elif isinstance(text, ast.Subscript) and isinstance(text.slice, ast.Constant):
            holder = key_of(text.value)
            known = values_of(frame, [holder]).get(holder) if holder else None
            value = known.get(text.slice.value) if isinstance(known, dict) else None
        else:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def literal(node: Optional[ast.expr]) -> Tuple[bool, Any]:
    """Tells whether an expression is a plain value, and which."""
    try:
        return (True, ast.literal_eval(node)) if node is not None else (False, None)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None


def last_step_of(frame: FrameType, source: Source) -> Optional[int]:
    """Finds the step at which the script says that it stops: ``while run.steps < n``, ``if run.steps >= n: break``."""
    scope = source.scope
    for node in scope.nodes:
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and _is_steps(node.left, scope):
            parent = scope.parents.get(node)
            if isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.And):
                # `if args.limit and run.steps >= args.limit`
                others = [key_of(one) for one in parent.values if one is not node]
                if None in others or not all(values_of(frame, [key]).get(key) for key in others if key):
                    continue
                parent = scope.parents.get(parent)
            ends = isinstance(parent, ast.If) and any(isinstance(one, (ast.Break, ast.Return)) for one in parent.body)
            if (isinstance(parent, ast.While) and isinstance(node.ops[0], ast.Lt)) or (ends and isinstance(node.ops[0], (ast.GtE, ast.Eq))):
                return number_in(frame, node.comparators[0])
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and key_of(node.iter.func) == "range":
            arguments = node.iter.args
            if len(arguments) >= 2 and _is_steps(arguments[0], scope):
                return number_in(frame, arguments[1])
    return None


def leaves_at(frame: FrameType, source: Source, loop: Loop, steps: int) -> bool:
    """Tells whether one of a loop's own statements is ``if run.steps >= n: break``, with an ``n`` that is reached."""
    for one in loop.body:
        if not isinstance(one, ast.If) or len(one.body) != 1 or not isinstance(one.body[0], ast.Break) or not isinstance(one.test, ast.Compare):
            continue
        if len(one.test.ops) == 1 and isinstance(one.test.ops[0], ast.GtE) and _is_steps(one.test.left, source.scope):
            limit = number_in(frame, one.test.comparators[0])
            if limit is not None and steps >= limit:
                return True
    return False


def is_loop_head(frame: FrameType, source: Source) -> bool:
    """Tells whether the steps that are asked for in this line decide how long a loop is, or are what a loop begins with."""
    scope, line = source.scope, frame.f_lineno
    heads = [loop for loop in scope.loops if _reads_steps(loop, scope)]
    if any(loop.lineno <= line <= _last_line_of_head(loop) for loop in heads):
        return True
    bound = scope.bound_in(line)
    if any(key in bound for loop in scope.loops if loop.lineno > line for key, _ in reads_in(_head(loop))):
        return True
    return not heads and not source.has_loops


def _reads_steps(loop: Loop, scope: Scope) -> bool:
    return any(_is_steps(node, scope) for node in ast.walk(_head(loop)))


def _last_line_of_head(loop: Loop) -> int:
    return int(_head(loop).end_lineno or loop.lineno)


def _head(loop: Loop) -> ast.expr:
    return loop.test if isinstance(loop, ast.While) else loop.iter


def _is_steps(node: ast.AST, scope: Scope) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "steps" and (key_of(node.value) in scope.names.run or not scope.names.run)


def _looked_up(frame: FrameType, key: Key) -> Any:
    """Attributes of an ``argparse.Namespace`` or a dataclass that is a class's own."""
    root, _, rest = key.partition(".")
    value = values_of(frame, [root]).get(root)
    for name in rest.split("."):
        value = getattr(type(value), name, None) if not isinstance(getattr(type(value), name, None), property) else None
    return value


def _read(frame: FrameType) -> Optional[Source]:
    code = frame.f_code
    lines = linecache.getlines(code.co_filename, frame.f_globals)
    if not lines:
        return None
    text = "".join(lines)
    first, last = (1, len(lines)) if code.co_name == "<module>" else (code.co_firstlineno, _last_line(code))
    whole = code.co_name == "<module>" or len(lines) <= _WHOLE_FILE_LINES
    if whole:
        tree = _parsed(code.co_filename, text)
    else:
        tree = ast.parse(textwrap.dedent("".join(lines[first - 1 : last])))
        ast.increment_lineno(tree, first - 1)
    names = _names_of(tree)
    node = tree if code.co_name == "<module>" else _definition(tree, code)
    if node is None:
        return None
    return Source(Scope(node, names), clears_now_and_then(text, tree), any(f".{name}(" in text for name in ("epochs", "batches", "forever")))


def _definition(tree: ast.AST, code: CodeType) -> Optional[ast.AST]:
    """Returns the node of a function. Its first line is that of its first decorator."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == code.co_name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if first == code.co_firstlineno or node.lineno == code.co_firstlineno:
                return node
    return None


def _last_line(code: CodeType) -> int:
    lines = [code.co_firstlineno]
    pending: List[CodeType] = [code]
    while pending:
        current = pending.pop()
        lines += [line for _, line in dis.findlinestarts(current) if line is not None]
        pending += [inside for inside in current.co_consts if isinstance(inside, CodeType)]
    return max(lines)


def _parsed(path: str, text: str) -> ast.AST:
    known = _trees.get(path)
    if known is None or known[0] != len(text):
        known = _trees[path] = (len(text), ast.parse(text))
    return known[1]


def _names_of(tree: ast.AST) -> Names:
    known: Optional[Names] = getattr(tree, "trainstash_names", None)
    if known is None:
        known = tree.trainstash_names = Names(tree)  # type: ignore[attr-defined]
    return known


def _attributes(value: Any) -> Dict[str, Any]:
    try:
        return dict(vars(value))
    except TypeError:
        return {}


class _Missing:
    pass


_MISSING = _Missing()
_sources: Dict[CodeType, Optional[Source]] = {}
_trees: Dict[str, Tuple[int, ast.AST]] = {}
