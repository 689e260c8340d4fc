"""Objects beside the loop that have a state and were not given to ``init``: optimizers, schedules, scalers, networks, meters,
random generators, iterators. They are looked at twice, in the first round and at a checkpoint: what changes has a state."""

from __future__ import annotations

import dis
import io
import sys
import weakref
from types import FrameType, FunctionType, ModuleType
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from . import rng
from .adopted import Adopted, adopt, own_of
from .findings import LOOP_VARIABLE, PLAIN_LOADER, UNTRACKED_OBJECT, clause
from .flow import Key
from .kinds import is_scaler
from .reach_torch import identities
from .script import is_ours, is_users
from .scopes import values_of
from .tracked import Tracked, is_model, is_optimizer, is_scheduler
from .understood import set_for_each_epoch
from .wrappers import unwrap


class Lost(NamedTuple):
    """A part that a checkpoint lacks. ``matters``: the training goes another way without it, and not only what it shows."""

    kind: str
    name: str
    why: str
    line: Optional[str] = None
    matters: bool = True
    code: Optional[str] = None


#: Packages whose objects show and record, and compute nothing.
SHOWS = ("tqdm", "logging", "tensorboard", "tensorboardX", "wandb", "mlflow", "rich", "aim", "clearml", "comet_ml", "neptune", "matplotlib")
_PLAIN = (int, float, str, bool, type(None))
_MOST_ATTRIBUTES = 200


class Bystanders:
    def __init__(self, tracked: Tracked, is_kept: Callable[[Any], bool]) -> None:
        self._tracked = tracked
        self._is_kept = is_kept
        self._first: Dict[Tuple[Any, Key], Any] = {}

    def note(self, frame: FrameType, names: List[Key]) -> None:
        """Notes how the objects are in the first round of the loop."""
        for name, value in values_of(frame, names).items():
            covered = self._is_covered(value)
            if not covered or is_model(value):
                self._first.setdefault((frame.f_code, name), _COVERED if covered else _fingerprint(value))

    def lost(self, frame: FrameType, names: List[Key], made_anew: Set[Key], across: bool, line: Optional[str]) -> List[Lost]:
        """Finds the objects whose state a checkpoint does not have.

        Args:
            frame: The frame in which the names are looked up.
            names: Names that the loop uses.
            made_anew: Of these, the ones that each epoch makes anew before it reads them.
            across: The resume begins the next epoch.
            line: The loop's line, for people.
        """
        found: List[Lost] = []
        for name, value in values_of(frame, names).items():
            if self._is_covered(value) or self.is_show(value):
                continue
            first = self._first.get((frame.f_code, name))
            is_made_anew = name.partition(".")[0] in made_anew
            if is_made_anew and isinstance(first, _OfNetwork):
                first = first._replace(which=_identity(value))
            elif is_made_anew and first is _COVERED:
                first = None
            one = self._judge(name, value, first, is_made_anew and across)
            if one is not None:
                found.append(one._replace(line=line))
        return found

    def knows(self, value: Any) -> bool:
        """Tells whether a value is judged here, and not as a variable."""
        return is_optimizer(value) or is_model(value) or is_scaler(value) or _is_schedule(value) or rng.is_generator(value)

    def is_show(self, value: Any) -> bool:
        return type(value).__module__.partition(".")[0] in SHOWS or type(value).__module__.startswith("torch.utils.tensorboard")

    def _judge(self, name: Key, value: Any, first: Any, is_made_anew: bool) -> Optional[Lost]:
        shown = f"`{name}`"
        foreign = adopt(value, {})
        if foreign is not None and foreign.kind != "weights":
            return None if foreign.is_idle() else _not_given(foreign.kind, shown)
        if foreign is not None:
            changed = foreign.mark() != first if foreign.parts() else False
            return _not_given("weights", shown) if changed and not is_made_anew else None
        if is_optimizer(value):
            return _not_given("optimizer", shown)
        if is_scaler(value):
            return _not_given("scaler", shown) if _is_enabled(value) else None
        if _is_schedule(value):
            return _not_given("schedule", shown)
        now = _fingerprint(value)
        if rng.is_generator(value):
            changed = first is not None and now != first
            return _not_given("random", shown) if changed else None
        if is_made_anew or now is None or first is None or now == first:
            return self._judge_iterator(name, value, is_made_anew)
        if is_model(value) and not hasattr(value, "_update_count"):
            return _not_given("weights", shown)
        if isinstance(now, dict) and isinstance(first, dict):
            again = set_for_each_epoch(type(value))
            changed_names = [key for key in now if now[key] != first.get(key, _MISSING) and _is_read(value, key) and key not in again]
            if not changed_names:
                return None
            shown = ", ".join(f"`{name}.{key}`" for key in changed_names[:4])
        return Lost("loop", shown, clause(LOOP_VARIABLE, several="," in shown), code=LOOP_VARIABLE)

    def _judge_iterator(self, name: Key, value: Any, is_made_anew: bool) -> Optional[Lost]:
        if is_made_anew or not hasattr(value, "__next__") or isinstance(value, io.IOBase):
            return None
        if _reads_batches(value):
            return None
        return Lost("data", f"`{name}`", clause(PLAIN_LOADER), code=PLAIN_LOADER)

    def is_tracked(self, value: Any) -> bool:
        """Tells whether a checkpoint has a value's state: because it, what it wraps, or what wraps it is tracked."""
        inside = getattr(value, "__dict__", {})
        candidates = [value, inside.get("scheduler"), inside.get("optimizer") if hasattr(value, "param_groups") else None]
        for known in map(own_of, self._tracked.objects.values()):
            if value is known or _drives(known) is value:
                return True
            wrapped = getattr(known, "__dict__", {})
            if any(one is not None and unwrap(one) is known for one in candidates):
                return True
            if any(value is wrapped.get(name) for name in ("scheduler", "optimizer")) and is_optimizer(value) == is_optimizer(known):
                return True
        return False

    def tracked_parts(self) -> Tuple[Set[int], Set[int]]:
        """Returns the identities of the parameters that a checkpoint holds, and of the networks that they are in."""
        known = [own_of(one) for one in self._tracked.objects.values()]
        parameters, networks = identities(one for one in known if is_model(one) and not is_optimizer(one) and hasattr(one, "modules"))
        parameters.update(id(one) for optimizer in known if is_optimizer(optimizer) for group in optimizer.param_groups for one in group["params"])
        return parameters, networks

    def _is_covered(self, value: Any) -> bool:
        """Tells whether a value is tracked, belongs to what is tracked, or is kept in another way."""
        if value is None or isinstance(value, (*_PLAIN, type, ModuleType, FunctionType)) or self._is_kept(value):
            return True
        if self.is_tracked(value):
            return True
        foreign = adopt(value, {})
        if foreign is not None and foreign.parts():
            known = {id(one) for other in self._tracked.objects.values() if isinstance(other, Adopted) for one in other.parts()}
            return known.issuperset(map(id, foreign.parts()))
        if is_model(value):
            parameters = {id(one) for known in self._tracked.objects.values() if is_model(known) for one in known.parameters()}
            own = [id(one) for one in value.parameters()]
            return bool(own) and parameters.issuperset(own)
        return False


def _not_given(kind: str, shown: str) -> Lost:
    return Lost(kind, shown, clause(UNTRACKED_OBJECT), code=UNTRACKED_OBJECT)


def _drives(optimizer: Any) -> Any:
    """Returns the schedule that is part of an optimizer of Paddle."""
    inner = getattr(optimizer, "_inner_opt", optimizer)
    return getattr(inner, "_learning_rate", _MISSING) if type(inner).__module__.startswith("paddle.") else _MISSING


def _is_schedule(value: Any) -> bool:
    if is_scheduler(value):
        return True
    torch = sys.modules.get("torch")
    optimizer = getattr(value, "__dict__", {}).get("optimizer")
    return torch is not None and isinstance(optimizer, torch.optim.Optimizer) and hasattr(value, "step")


def _is_enabled(scaler: Any) -> bool:
    try:
        return bool(scaler.is_enabled())
    except Exception:
        return True


def _fingerprint(value: Any) -> Any:
    """Returns a value that differs once the object has changed; None for one that has nothing to look at."""
    if rng.is_generator(value):
        return rng.fingerprint_of(value)
    foreign = adopt(value, {})
    if foreign is not None:
        return foreign.mark()
    if is_model(value):
        count = getattr(value, "_update_count", None)
        # A copy that takes the place of another counts from 0 again.
        return count if count is not None else _OfNetwork(_identity(value), sum(map(_version, [*value.parameters(), *value.buffers()])))
    if not _is_of_script(type(value)):
        return None
    plain: Dict[str, Any] = {}
    for name, item in list(getattr(value, "__dict__", {}).items())[:_MOST_ATTRIBUTES]:
        if isinstance(item, _PLAIN):
            plain[name] = item
        elif isinstance(item, (list, dict, set)):
            plain[name] = (type(item), len(item))
        elif hasattr(item, "_version"):
            plain[name] = (id(item), _version(item))
    return plain


class _OfNetwork(NamedTuple):
    """The fingerprint of a network."""

    which: Any
    versions: int


def _identity(value: Any) -> Any:
    """Returns what is equal for the same object alone, and does not keep it alive."""
    try:
        return weakref.ref(value)
    except TypeError:
        return id(value)


def _is_of_script(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    path = getattr(module, "__file__", None)
    return cls.__module__ != "builtins" and module is not None and (path is None or is_users(path)) and not cls.__module__.startswith("trainstash")


def _is_read(value: Any, attribute: str) -> bool:
    """Tells whether the class of an object does anything with an attribute but set it."""
    for cls in type(value).__mro__:
        for function in vars(cls).values():
            code = getattr(function, "__code__", None)
            if code is None or attribute not in code.co_names:
                continue
            if any(one.argval == attribute and one.opname.startswith(("LOAD_ATTR", "LOAD_METHOD")) for one in dis.get_instructions(code)):
                return True
    return False


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version)
    except Exception:
        return 0


class _Missing:
    pass


_MISSING = _Missing()
#: The fingerprint of a network that a checkpoint holds: another one under its name is not held.
_COVERED = _Missing()


def _reads_batches(value: Any, depth: int = 3) -> bool:
    """Tells whether an iterator takes all of its items from ``run.batches``, through generator expressions, zip and their like."""
    code = getattr(value, "gi_code", None)
    if code is not None:
        source = value.gi_frame.f_locals.get(".0") if value.gi_frame is not None else None
        return is_ours(code) or (depth > 0 and source is not None and _reads_batches(source, depth - 1))
    if type(value) not in (zip, enumerate, map, filter) or depth == 0:
        return False
    try:
        parts = [part for part in value.__reduce__()[1] if hasattr(part, "__next__")]
    except Exception:
        return False  # Python 3.14 does not say what they read.
    return bool(parts) and all(_reads_batches(part, depth - 1) for part in parts)
