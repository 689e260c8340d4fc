"""State that the code of a fit keeps where no checkpoint of its framework looks: functions, classes, hooks, global objects, and what
attributes refer to. All that the framework calls is looked at when the fit begins, and again at a checkpoint."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .bystanders import SHOWS
from .findings import HIDDEN_STATE, LOOP_VARIABLE, OTHER_VALUE, clause
from .ingredients import Ingredients
from .own_attributes import has, is_users_class
from .reach import Reach
from .script import shown_file
from .steadiness import entropy_in

_AGAIN = clause(LOOP_VARIABLE)
_MOST_NAMED = 8
_CALLABLE = (FunctionType, MethodType)


class Parts(NamedTuple):
    """The objects that a framework calls, and those that a checkpoint of it holds.

    Args:
        objects: Objects by the names that people know them by. Their classes and functions are looked into.
        values: Objects of which all is looked into, such as the attributes of a callback; a name is the one it is kept under.
        covered: Objects that a checkpoint holds with all they have, or that are no part of the training.
        tracked: Objects whose ``state_dict`` a checkpoint holds.
        mark: Marks objects of the framework, whose insides are its own: the mark is another one once they have changed. None: any other object.
    """

    objects: Mapping[str, Any]
    values: Mapping[str, Any]
    covered: Iterable[Any]
    tracked: Iterable[Any]
    mark: Callable[[Any], Any] = lambda _: None


def named(objects: Iterable[Any]) -> Iterator[Tuple[str, Any]]:
    """Names objects by their classes, as those are named whose attributes are kept."""
    counts: Dict[str, int] = {}
    for one in objects:
        name = type(one).__name__
        counts[name] = counts.get(name, 0) + 1
        yield f"{name}{counts[name] if counts[name] > 1 else ''}", one


class HiddenState:
    """The state that the parts reach. ``parts`` is asked at each look: there may be more of them by then."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts
        self._failure: Optional[str] = None
        self._first: Optional[_Look] = None
        try:
            self._first = _Look(parts())
        except Exception as error:
            self._failure = type(error).__name__

    def note(self, found: Ingredients, kept: Collection[str] = ()) -> None:
        """Notes what has changed since and is not kept, and calls that give another value in each process.

        Args:
            found: The findings about a checkpoint.
            kept: Names of ``values`` that the checkpoint holds, or that are named already.
        """
        try:
            if self._first is not None:
                self._note(found, self._first, kept)
        except Exception as error:
            self._failure = type(error).__name__
        if self._failure is not None:
            found.lost("loop", "what functions and classes of the script keep", f"could not be looked at ({self._failure})")

    def _note(self, found: Ingredients, first: _Look, kept: Collection[str]) -> None:
        now = _Look(self._parts())
        changed = [name for name in now.changed_since(first) if not _is_below(name, kept)]
        for name in changed[:_MOST_NAMED]:
            found.lost("loop", f"`{name}`", _AGAIN, code=HIDDEN_STATE)
        for function in now.reach.functions:
            drawn = entropy_in(function.__code__, function.__globals__)
            if drawn is not None:
                where = f"{shown_file(function.__code__)}:{drawn[1]}"
                found.lost("random", f"`{drawn[0]}`", clause(OTHER_VALUE), where, OTHER_VALUE)
                return


class _Look:
    """One look at all parts."""

    def __init__(self, parts: Parts) -> None:
        covered = {id(one) for one in [*parts.covered, *parts.objects.values()]}
        tracked = {id(one) for one in parts.tracked}
        # Keeps what is compared by identity alive.
        self._held = [parts, *parts.covered]
        self._values = parts.values
        top: List[Any] = [None]
        self.reach = Reach(
            lambda value: value is not top[0] and (id(value) in covered or _is_apart(value)),
            lambda value: id(value) in tracked,
            mark=parts.mark,
        )
        for name, value in parts.objects.items():
            for inner, code in _code_of(name, value):
                top[0] = code
                self.reach.walk(inner, code, 0)
        for name, value in parts.values.items():
            top[0] = value
            self.reach.walk(name, value, 0)

    def changed_since(self, before: _Look) -> List[str]:
        found = self.reach.changed_since(before.reach)
        # What is new or gone below an attribute was another thing before.
        moved = [name for name in self.reach.marks if name not in before.reach.marks] + [name for name in before.reach.marks if name not in self.reach.marks]
        known = set(before._values) | set(self._values)
        return list(dict.fromkeys([*found, *(name for name in moved if _is_below(name, known))]))


def _code_of(name: str, value: Any) -> Iterator[Any]:
    """Lists the code that an object brings: its class, if the script made it, and functions that the script gave it."""
    if isinstance(value, (*_CALLABLE, type)) or type(value).__name__ == "partial":
        yield name, value
        return
    if is_users_class(type(value)):
        yield f"the class of {name}", type(value)
    for key, item in list(getattr(value, "__dict__", {}).items()):
        if isinstance(item, _CALLABLE) or type(item).__name__ == "partial":
            yield f"{name}.{key}", item


def _is_apart(value: Any) -> bool:
    """Tells what shows and records, and loaders: what these read with is looked at where they are."""
    package = type(value).__module__.partition(".")[0]
    return package in SHOWS or (has(value, "dataset") and has(value, "batch_sampler"))


def _is_below(name: str, tops: Collection[str]) -> bool:
    """Tells whether a name is one of some, or of a part of one."""
    return any(name == top or (name.startswith(top) and name[len(top)] in ".['") for top in tops)
