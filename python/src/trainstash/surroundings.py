"""The variables of the script around the loop: those that start again on a resume, and objects with a state that nobody gave to
``init``. The text of the script tells the names, their values tell what is harmless."""

from __future__ import annotations

import ast
from types import CodeType, FrameType, ModuleType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from .bystanders import Bystanders, Lost
from .findings import LOOP_VARIABLE, clause
from .flow import Flow, Key, key_of, reads_in, root_of, targets_of
from .hidden import Hidden
from .loop_text import LoopText, bound_in, flow_of, targets, text_of
from .loop_variables import Found
from .scopes import Source, last_step_of, leaves_at, literal, number_in, source_of, values_of
from .script import NOWHERE, Way, frames_above, shown_file, site_of
from .syntax import Loop, is_shown
from .tracked import Tracked

_UNREADABLE = "the script's text cannot be read, so that nobody knows what starts again"

_GIVEN = (int, float, complex, str, bytes, list, tuple, dict, type(None))
NOTHING, ALONE, BOUND, UNKNOWN = "nothing", "alone", "bound", "unknown"
# Methods of tracked objects that leave no trace in their state.
_CHANGES_NOTHING = {"zero_grad", "train", "eval", "state_dict", "parameters", "named_parameters", "get_last_lr", "get_scale", "modules"}


class _Around(NamedTuple):
    """A frame with the loops that its present line stands in."""

    frame: FrameType
    source: Optional[Source]
    loops: List[Loop]


class Surroundings:
    def __init__(self, tracked: Tracked, is_kept: Callable[[Any], bool]) -> None:
        self._bystanders = Bystanders(tracked, is_kept)
        self._is_kept = is_kept
        self._hidden = Hidden(self._is_apart, self._bystanders)
        self._looked: Set[Tuple[Any, int]] = set()
        self._last: List[Lost] = []
        #: True: the text around the loop clears gradients in some steps and not in others.
        self.clears_now_and_then = False
        #: The step at which the script says that it stops.
        self.last_step: Optional[int] = None

    def look(self, frame: Optional[FrameType]) -> None:
        """Looks around the loop in its first round. Costs as much as reading the script once."""
        if frame is None or (frame.f_code, frame.f_lineno) in self._looked:
            return
        self._looked.add((frame.f_code, frame.f_lineno))
        try:
            around = _around(frame)
            readable = [one for one in around if one.source is not None]
            for one in readable:
                assert one.source is not None
                self.clears_now_and_then |= one.source.clears_now_and_then
                self.last_step = self.last_step or last_step_of(one.frame, one.source)
                self._bystanders.note(one.frame, _names_used(one))
                self._hidden.note(one.frame, self._reached(one), _text(one, around))
        except Exception:
            return  # The checkpoint names what is not understood.

    def is_over_at(self, frame: Optional[FrameType], steps: int) -> bool:
        """Tells whether the script leaves the loop that begins in this frame as soon as it has done so many steps."""
        try:
            one = _around(frame)[0]
            return one.source is not None and leaves_at(one.frame, one.source, one.loops[-1], steps)
        except Exception:
            return False

    def lost(self, frame: Optional[FrameType], across: bool, batches: int) -> List[Lost]:
        """Finds what starts again after a resume from here.

        Args:
            frame: The script's frame that takes the checkpoint; None: the loop is over.
            across: The resume begins the next epoch.
            batches: How many the loader has given in this pass.
        """
        if frame is None:
            return self._last
        try:
            self._last = self._find(_around(frame), across, batches)
        except Exception as error:
            return [Lost("loop", "values of the loop", f"are not known: {type(error).__name__}: {error}")]
        return self._last

    def rest_of_round(self, frame: Optional[FrameType]) -> Optional[str]:
        """Finds the line behind this one, in the same round of the loop, where something tracked is changed; a resume from here
        would not do that again. Outside of all loops it does."""
        around = _around(frame)
        for one, statements in _rest(around, epochs=False) if any(one.loops for one in around) else []:
            for statement in statements:
                for keys, line in _calls_in(statement):
                    if any(map(self._bystanders.is_tracked, values_of(one.frame, keys).values())):
                        return _where(one.frame, line)
        return None

    def done_again(self, frame: Optional[FrameType], first: Mapping[CodeType, int]) -> Optional[str]:
        """Finds the line before this one, and outside of the loops over batches, where something tracked is changed: a resume
        from here does that again.

        Args:
            frame: The script's frame that takes the checkpoint.
            first: The lines by which the script came to the first loader of the epoch, or of what is done once.
        """
        for one in _around(frame):
            if one.source is None:
                continue
            for statement in _before(one, first.get(one.frame.f_code)):
                if isinstance(statement, (ast.For, ast.While)) or (statement.end_lineno or 0) >= one.frame.f_lineno:
                    continue
                for keys, line in _calls_in(statement):
                    if any(map(self._bystanders.is_tracked, values_of(one.frame, keys).values())):
                        return _where(one.frame, line)
        return None

    def are_more_loaders_to_come(self, frame: Optional[FrameType]) -> bool:
        """Tells whether other loaders are read behind this line, in the same round of the script's own loop."""
        for one, statements in _rest(_around(frame), epochs=False):
            scope = one.source.scope if one.source else None
            loops = [node for statement in statements for node in ast.walk(statement) if isinstance(node, (ast.For, ast.While))]
            if scope is not None and any(map(scope.is_over_batches, loops)):
                return True
        return False

    def rest_of_epoch(self, frame: Optional[FrameType]) -> Tuple[str, Optional[str]]:
        """Finds what is still to be done behind this line up to the end of the epoch, and where that begins.

        Returns:
            ``NOTHING``; ``ALONE`` when it can be done without the loop over batches before it; ``BOUND`` when it uses what that
            loop left; ``UNKNOWN`` when the text cannot be read.
        """
        around = _around(frame)
        if not around or any(one.source is None for one in around[:1]):
            return UNKNOWN, None
        first: Optional[str] = None
        flow = Flow()
        done: Optional[Set[Key]] = set()
        bound: Set[Key] = set()
        for number, (one, statements) in enumerate(_rest(around, epochs=True)):
            if number > 0 and one.source and not one.source.scope.is_bare_call(one.frame.f_lineno):
                return BOUND, _where(one.frame, one.frame.f_lineno)
            inner = [loop for loop in one.loops if not (one.source and one.source.scope.is_over_epochs(loop))]
            bound.update(key for loop in inner for key in (*flow_of(loop).bound, *flow_of(loop).mutated, *targets(loop)))
            for statement in statements:
                if not is_shown(statement) and not isinstance(statement, (ast.Continue, ast.Break)):
                    first = first or _where(one.frame, statement.lineno)
            done = flow.run(statements, done or set())
        if first is None:
            return NOTHING, None
        return (BOUND if bound & set(flow.exposed) else ALONE), first

    # ---- inside ----

    def _find(self, around: List[_Around], across: bool, batches: int) -> List[Lost]:
        if not any(one.loops for one in around) and any(one.source is None for one in around[:1]):
            return [Lost("loop", "values of the loop", f"are not known: {_UNREADABLE}")]
        lost: List[Lost] = []
        given: List[Any] = []
        for one in around:
            if one.source is None:
                name = f"values in {one.frame.f_code.co_name}"
                lost.append(Lost("loop", name, f"are not known: {_UNREADABLE}", _where(one.frame, one.frame.f_lineno)))
                continue
            scope = one.source.scope
            counted = [loop for loop in one.loops if not across or scope.is_over_epochs(loop) or _holds_epochs(loop, one)]
            found: Dict[Key, Found] = {}
            for loop in counted:
                for variable in scope.starts_again(loop):
                    found.setdefault(variable.name, variable)
            lost += self._named(one, list(found.values()), batches)
            lost += self._given_to_functions(one, counted, given)
            line = _where(one.frame, one.loops[0].lineno) if one.loops else None
            lost += self._bystanders.lost(one.frame, _names_used(one), _made_in(counted), across, line)
            outermost = one.loops[0] if one.loops else None
            lost += self._hidden.lost(one.frame, self._reached(one), _text(one, around), outermost, _set_before(one), line)
            given += [value for loop in one.loops for value in _parameters_changed(loop, one)]
        return list(dict.fromkeys(lost))

    def _reached(self, one: _Around) -> Dict[Key, Any]:
        """Looks up what the loops use and do not make themselves."""
        made = set(bound_in(one.loops))
        values = values_of(one.frame, [key for key in _names_used(one) if root_of(key) not in made])
        # Each call of a function has arguments of its own, and only the text of the function can set them.
        own = one.frame.f_code.co_varnames if one.frame.f_code.co_name != "<module>" else ()
        return {key: value for key, value in values.items() if key not in own or not isinstance(value, _GIVEN)}

    def _is_apart(self, value: Any) -> bool:
        return self._is_kept(value) or self._bystanders.is_show(value) or type(value).__module__.startswith("trainstash")

    def _named(self, one: _Around, found: List[Found], batches: int) -> List[Lost]:
        values = values_of(one.frame, [variable.name for variable in found])
        by_line: Dict[int, List[Key]] = {}
        for variable in found:
            if variable.name in values and self._is_harmless(variable, values[variable.name], one):
                continue
            if variable.unless and _is_right_after(variable, one, batches):
                continue
            by_line.setdefault(variable.line, []).append(variable.name)
        return [
            Lost("loop", _listed(names), _start(names), _where(one.frame, line), any(self._matters(name, one) for name in names), LOOP_VARIABLE)
            for line, names in sorted(by_line.items())
        ]

    def _matters(self, name: Key, one: _Around) -> bool:
        """Tells whether a variable, or what is computed from it, reaches something tracked or decides how the loop goes on."""
        assert one.source is not None
        tainted = {name}
        nodes = [node for loop in one.loops[:1] for node in ast.walk(loop)]
        for _ in range(3):
            for node in nodes:
                if isinstance(node, ast.Assign) and any(key in tainted for key, _ in reads_in(node.value)):
                    tainted.update(key for target in node.targets for key in targets_of(target))
        for node in nodes:
            if isinstance(node, ast.Call) and self._reaches(node, tainted, one):
                return True
            if isinstance(node, (ast.If, ast.While)) and any(key in tainted for key, _ in reads_in(node.test)):
                inside = [part for statement in node.body for part in ast.walk(statement)]
                if isinstance(node, ast.While) or any(isinstance(part, (ast.Break, ast.Continue, ast.Return)) for part in inside):
                    return True
                if any(isinstance(part, ast.Call) and self._reaches(part, None, one) for part in inside):
                    return True
        return False

    def _reaches(self, call: ast.Call, tainted: Optional[Set[Key]], one: _Around) -> bool:
        """Tells whether a call has to do with something tracked, and reads one of the names."""
        parts = _parts(call)
        if parts is None or (tainted is not None and not any(key in tainted for key, _ in reads_in(call))):
            return False
        return any(map(self._bystanders.is_tracked, values_of(one.frame, parts).values()))

    def _is_harmless(self, variable: Found, value: Any, one: _Around) -> bool:
        """Tells whether a value is kept in another way, or is at this moment what it will be when it starts again."""
        root = root_of(variable.name)
        if isinstance(values_of(one.frame, [root]).get(root), ModuleType):
            return True
        if self._is_kept(value) or self._bystanders.is_show(value) or self._bystanders.knows(value) or self._bystanders.is_tracked(value):
            return True
        if value is None and not any(variable.name in flow_of(loop).bound for loop in one.loops):
            return True  # Nothing has been called on it: a scaler that is not used.
        assert one.source is not None
        begins_as = one.source.scope.begins_as(variable.name, variable.line)
        is_plain, beginning = literal(begins_as)
        return is_plain and type(beginning) is type(value) and bool(beginning == value)

    def _given_to_functions(self, one: _Around, loops: List[Loop], given: List[Any]) -> List[Lost]:
        """Lists and the like that a function inside of the loop has changed, under the names that they have here."""
        if not given or not loops:
            return []
        assert one.source is not None
        scope = one.source.scope
        inside = set(bound_in(loops))
        names = [key for key in _names_used(one) if key not in inside]
        values = values_of(one.frame, names)
        same = [name for name, value in values.items() if any(value is known for known in given) and not self._is_kept(value)]
        return [Lost("loop", _listed([name]), _start([name]), _where(one.frame, scope.line_of(name, loops[0])), code=LOOP_VARIABLE) for name in same]


def _around(frame: Optional[FrameType]) -> List[_Around]:
    found = []
    for one in frames_above(frame):
        source = source_of(one)
        found.append(_Around(one, source, source.scope.loops_around(one.f_lineno) if source else []))
    return found


def way_to(frame: Optional[FrameType]) -> Way:
    """Returns the way on which the script came to the loop that begins in this frame."""
    try:
        around = _around(frame)
    except Exception:
        return NOWHERE  # A text that breaks the analysis is named with the checkpoint.
    outer = [loop for n, one in enumerate(around) for loop in one.loops if n > 0 or loop.lineno != one.frame.f_lineno]
    text = " < ".join(site_of(one.frame).key for one in around)
    return Way(text, bool(outer), {one.frame.f_code: one.frame.f_lineno for one in around})


def _before(one: _Around, first: Optional[int]) -> List[ast.stmt]:
    """Statements that are over: of the epoch, or from line ``first`` of the frame on."""
    assert one.source is not None
    scope = one.source.scope
    over = [loop for loop in one.loops if scope.is_over_epochs(loop)]
    if over:
        return [statement for statement in over[-1].body if statement.lineno <= one.frame.f_lineno]
    if first is None:
        return []
    return [statement for statement in scope.rest(first, None) if statement.lineno <= one.frame.f_lineno]


def _rest(around: List[_Around], epochs: bool) -> List[Tuple[_Around, List[ast.stmt]]]:
    """Statements behind the present line: up to the end of the epoch, or of the round of the innermost loop."""
    found = []
    for one in around:
        if one.source is None:
            continue
        scope = one.source.scope
        ends = [loop for loop in one.loops if not epochs or scope.is_over_epochs(loop)]
        until = ends[-1] if ends else None
        found.append((one, scope.rest(one.frame.f_lineno, until)))
        if until is not None:
            break
    return found


def _calls_in(statement: ast.stmt) -> List[Tuple[List[Key], int]]:
    """Lists the parts of each call: the function or object, and its arguments."""
    calls = []
    for node in ast.walk(statement):
        parts = _parts(node) if isinstance(node, ast.Call) else None
        if parts:
            calls.append((parts, node.lineno))  # type: ignore[attr-defined]
    return calls


def _parts(call: ast.Call) -> Optional[List[Key]]:
    """Returns the names of the object or function and of the arguments; None for a method that changes nothing."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in _CHANGES_NOTHING:
        return None
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    parts = [receiver, *call.args, *(word.value for word in call.keywords)]
    return [key for key in map(key_of, parts) if key]


def _start(names: List[Key]) -> str:
    return clause(LOOP_VARIABLE, several=len(names) > 1)


def _holds_epochs(loop: Loop, one: _Around) -> bool:
    """Tells whether a loop over epochs stands inside of this one."""
    assert one.source is not None
    scope = one.source.scope
    return any(scope.is_over_epochs(inside) for inside in scope.loops if loop.lineno <= inside.lineno <= (loop.end_lineno or 0))


def _names_used(one: _Around) -> List[Key]:
    """Names that the loops read, or call methods of, with one attribute."""
    keys: Dict[Key, None] = {}
    for loop in one.loops[:1]:
        flow = flow_of(loop)
        for key in (*flow.read, *flow.called, *flow.mutated):
            parts = key.split(".")
            keys[parts[0]] = None
            if len(parts) > 1:
                keys[".".join(parts[:2])] = None
    return list(keys)


def _made_in(loops: List[Loop]) -> Set[Key]:
    """Lists names of objects that each round makes anew before it reads them: at an epoch's end they do not matter."""
    return set(bound_in(loops[:1])) - {root_of(key) for loop in loops[:1] for key in flow_of(loop).exposed}


def _text(one: _Around, around: List[_Around]) -> LoopText:
    """Reads what the loops of a frame say. The loops around its call change names as well, which it may read."""
    texts = [text_of(other.loops, other.source.scope.names.modules) for other in around if other.source is not None]
    own = texts[[other for other in around if other.source is not None].index(one)]
    return own._replace(judged=own.judged.union(*(text.judged for text in texts)))


def _set_before(one: _Around) -> Dict[Key, ast.expr]:
    """Collects the expressions that the names of the loops are set to before them."""
    if not one.loops or one.source is None:
        return {}
    scope, loop = one.source.scope, one.loops[0]
    values = {key: scope.begins_as(key, scope.line_of(key, loop)) for key in _names_used(one)}
    return {key: value for key, value in values.items() if value is not None and scope.line_of(key, loop) < loop.lineno}


def _parameters_changed(loop: Loop, one: _Around) -> List[Any]:
    assert one.source is not None
    names = [key for key in flow_of(loop).mutated if key in one.source.scope.parameters]
    return list(values_of(one.frame, names).values())


def _is_right_after(variable: Found, one: _Around, batches: int) -> bool:
    """Tells whether a counter of batches that starts at 0 again comes out right from here."""
    for text in variable.unless:
        number = number_in(one.frame, ast.parse(text, mode="eval").body)
        if not number or batches % number != 0:
            return False
    return True


def _listed(names: List[Key]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _where(frame: FrameType, line: int) -> str:
    return f"{shown_file(frame.f_code)}:{line}"
