"""State that functions, objects and data sets keep for themselves: looked at in the first round of the loop, and again at a checkpoint."""

from __future__ import annotations

import ast
from types import CodeType, FrameType, FunctionType
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional

from .bystanders import Bystanders, Lost
from .code_parts import Part, part_of_function, part_of_loop
from .data_files import changed_and_read as changed_and_read_files, watch_readers
from .environment_use import NAMES, changed_and_read, environment
from .file_uses import watch
from .findings import HIDDEN_STATE, LOOP_VARIABLE, OTHER_VALUE, OUTSIDE_READ, PROCESS_SETTING, clause
from .loop_text import LoopText
from .outside_reads import reads_files
from .process_values import dependence
from .own_attributes import has
from .process_settings import changed_settings, settings
from .reach import Reach
from .script import shown_file
from .steadiness import entropy_in, names_read
from .syntax import Loop, end_of
from .understood import set_for_each_epoch
from .worker_changes import changes_in_workers

_AGAIN = clause(LOOP_VARIABLE)
_CHANGED = "was changed while it trains, and a resume begins with the first one"


class Hidden:
    """The state that the loops of a script reach.

    Args:
        is_covered: Tells objects that are no part of the training, or that a checkpoint holds with all they have.
        bystanders: Knows the objects whose ``state_dict`` a checkpoint holds.
    """

    def __init__(self, is_covered: Callable[[Any], bool], bystanders: Bystanders) -> None:
        self._is_covered = is_covered
        self._bystanders = bystanders
        self._first: Dict[CodeType, Reach] = {}
        self._environment: Mapping[str, str] = {}
        self._settings: Dict[str, Any] = {}

    def note(self, frame: FrameType, values: Mapping[str, Any], text: LoopText) -> None:
        """Marks what the names of a loop reach, in its first round."""
        if frame.f_code in self._first:
            return
        self._environment = self._environment or environment()
        self._settings = self._settings or settings()
        first = self._first[frame.f_code] = self._look(values, text)
        if any(reads_files(code) for code in [frame.f_code, *(one.__code__ for one in first.functions)]):
            watch()

    def lost(
        self, frame: FrameType, values: Mapping[str, Any], text: LoopText, loop: Optional[Loop], before: Mapping[str, ast.expr], where: Optional[str]
    ) -> List[Lost]:
        """Finds what has changed since, and calls that give another value in each process.

        Args:
            frame: The frame that the loops stand in.
            values: The objects behind the names that the loops use.
            text: What the text of the loops says.
            loop: The outermost loop.
            before: The expressions that the names of the loops are set to before them.
            where: The loop's line, for people.
        """
        first = self._first.get(frame.f_code)
        if first is None:
            return []
        now = self._look(values, text)
        found = [Lost("loop", f"`{name}`", _AGAIN, where, code=HIDDEN_STATE) for name in now.changed_since(first)[:4]]
        found += [Lost("loop", f"`{name}`", _CHANGED, code=PROCESS_SETTING) for name in changed_settings(self._settings)]
        drawn = entropy_in(frame.f_code, {**frame.f_globals, **values}, range(loop.lineno, end_of(loop) + 1)) if loop is not None else None
        if drawn is not None:
            found.append(_unsteady(drawn[0], frame.f_code, drawn[1]))
        if loop is not None:
            part = part_of_loop(loop, frame.f_code, {**frame.f_globals, **values})
            depends = dependence(part, before, now.functions)
            if depends is not None:
                kind, code = ("random", OTHER_VALUE) if depends.is_drawn else ("loop", OUTSIDE_READ)
                found.append(Lost(kind, depends.name, depends.why, depends.where, code=code))
            found += self._of_environment(part, now.functions)
        for function in now.functions:
            drawn = entropy_in(function.__code__, function.__globals__)
            if drawn is not None:
                found.append(_unsteady(drawn[0], function.__code__, drawn[1]))
                break
        return found

    def _of_environment(self, loop: Part, functions: List[FunctionType]) -> List[Lost]:
        if environment() == self._environment:
            return []
        readers = [part for part in map(part_of_function, functions) if part is not None and NAMES & names_read(part.code)]
        changed = changed_and_read(self._environment, [loop, *readers])
        return [Lost("loop", f"`{changed.name}`", _AGAIN, changed.where, code=PROCESS_SETTING)] if changed is not None else []

    def _look(self, values: Mapping[str, Any], text: LoopText) -> Reach:
        parameters, networks = self._bystanders.tracked_parts()
        reach = Reach(
            # What a loader reads with is looked at where the loader is.
            lambda value: id(value) in parameters or self._is_covered(value) or (has(value, "dataset") and has(value, "batch_sampler")),
            lambda value: id(value) in networks or self._bystanders.is_tracked(value),
            text.judged,
            text.read,
            reads_any=text.reads_any,
        )
        for name, value in values.items():
            root = values.get(name.partition(".")[0])
            if "." not in name or not (self._bystanders.is_tracked(root) or self._is_covered(root)):
                reach.root(name, value)
        return reach


def _unsteady(name: str, code: CodeType, line: int) -> Lost:
    return Lost("random", f"`{name}`", clause(OTHER_VALUE), f"{shown_file(code)}:{line}", code=OTHER_VALUE)


class ReadState:
    """The state of an indexed loader's parts: its data set, its collator and its samplers. A resume makes them anew, so they must be as
    they were when the first pass began.

    Args:
        parts: These, by the names that people know them by.
        seeded: Generators that are seeded with each batch or pass.
        has_workers: Other processes read the data, and keep what they change.
    """

    def __init__(self, parts: Mapping[str, Any], seeded: List[Any], has_workers: bool) -> None:
        self._parts = parts
        self._seeded = {id(one) for one in seeded}
        self._has_workers = has_workers
        self._failure: Optional[str] = None
        self._first: Optional[Reach] = None
        try:
            self._first = self._look()
            watch_readers(self._first.functions)
        except Exception as error:
            self._failure = _not_looked_at(error)

    def lacks(self) -> Optional[str]:
        """Returns the reason why a resume may read something else; None: none was found."""
        try:
            return self._failure or self._found()
        except Exception as error:
            return _not_looked_at(error)

    def _found(self) -> Optional[str]:
        assert self._first is not None
        now = self._look()
        changed = now.changed_since(self._first)
        if changed:
            return f"{_shown(changed[0])} changes while it is read, and starts again"
        for function in now.functions:
            drawn = entropy_in(function.__code__, function.__globals__, clocks=True)
            if drawn is not None:
                return f"it uses {drawn[0]}, which gives another value in each process ({shown_file(function.__code__)}:{drawn[1]})"
        reader = changed_and_read_files(now.functions, self._parts)
        if reader is not None:
            return f"it reads files that the training changes, which a resume finds as the last process left them ({reader})"
        if self._has_workers:
            again: FrozenSet[str] = frozenset().union(*(set_for_each_epoch(type(part)) for part in self._parts.values()))
            inside = changes_in_workers(self._look(["data set", "collate_fn"]).functions, again)
            if inside is not None:
                name, function, line = inside
                what = f"change `{name}`, which starts again with them" if name else "run code that may keep something, and whose text cannot be read"
                return f"its workers {what} ({shown_file(function.__code__)}:{line})"
        return None

    def _look(self, names: Optional[List[str]] = None) -> Reach:
        reach = Reach(lambda value: id(value) in self._seeded)
        for name, part in self._parts.items():
            if names is None or name in names:
                reach.walk(name, part, 0)
        return reach


def _not_looked_at(error: Exception) -> str:
    return f"nobody can tell whether it changes while it is read ({type(error).__name__})"


def _shown(name: str) -> str:
    top, _, rest = name.partition(".")
    return f"`{rest}` of its {top}" if rest and top in ("data set", "collate_fn", "sampler", "worker_init_fn") else f"`{name}`"
