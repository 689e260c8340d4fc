"""A run that goes on in the same kernel, when the cell with its loop is run once more. It gets a session of its own, and stands where
its newest checkpoint was taken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from . import ResumeError
from .putback import options_of
from .session import say, state_in
from .state import copied
from .tracked import Tracked, is_model, is_optimizer
from .wishes import InForce

if TYPE_CHECKING:
    from .engine import Engine

#: The state of the objects as far as it tells whether somebody changed them.
Marks = Dict[str, List[Any]]

_NONE_YET = (
    "the training was broken off before its first checkpoint, so a new run begins, with the objects as they are now; "
    "to begin afresh, run the cells that make them and init() again"
)


class Left:
    """The last checkpoint of a session, for one that goes on in the same process: without the objects, which are still there."""

    def __init__(self, own: Mapping[str, Any], tracked: Tracked) -> None:
        # Left-over gradients can be as large as the weights: then the file has to do.
        self.own: Optional[Dict[str, Any]] = None if own.get("gradients") else copied(dict(own))
        self._marks = marks_of(tracked)

    def changed(self, tracked: Tracked) -> List[str]:
        """Lists the objects that were changed since."""
        now = marks_of(tracked)
        return [name for name, mark in now.items() if mark != self._marks.get(name)]


def marks_of(tracked: Tracked) -> Marks:
    """Returns marks of the tracked objects: how often each tensor was written, and the small values beside them."""
    return {name: _mark_of(value) for name, value in tracked.objects.items()}


def _mark_of(value: Any) -> List[Any]:
    if is_model(value):
        try:
            tensors = [*value.parameters(), *value.buffers()]
        except Exception:
            return []
        return [(id(one), _version(one)) for one in tensors]
    if is_optimizer(value):
        return [repr(options_of(value))]
    return []


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version)
    except (AttributeError, RuntimeError):
        return 0


def go_on(before: Engine) -> Engine:
    """Begins the next session of a run whose last one is over."""
    from .unmanaged import own_session
    from .engine import Engine

    saved, origin, changed = _saved(before)
    launch = before.launch
    force = InForce(launch["checkpoint"], launch["keep"], launch.get("monitor"))
    folder = str(launch["command"]["dir"]) if origin else None
    session = own_session(before.params, origin, force, folder, before.session is not None and before.session.badge is not None)
    if session is not None:
        session.launch = {**session.launch, "checkpoint": force.checkpoint, "keep": force.keep, "monitor": force.monitor}
    made = Engine(session, session.launch if session else {}, before.tracked, before.params, before.group, session is not None, before)
    if saved is not None:
        previous = before.session.path if before.session is not None else None
        made.restore(saved, "keep", previous)
        made.saver.left = before.saver.left
    made.ending.outcome = before.ending.outcome
    made.begin()
    for name in changed:
        made.detours.append(("other", f"`{name}` was changed between two cells"))
        made.lose("other", f"`{name}` was changed between two cells", "")
    return made


def _saved(before: Engine) -> Tuple[Optional[Dict[str, Any]], Optional[Tuple[str, int]], List[str]]:
    """Finds the state to go on from, the checkpoint that it is of, and the objects that were changed since."""
    left, newest = before.saver.left, _newest(before)
    if newest is None:
        say(_NONE_YET)
        return None, None, []
    if left is not None and left.own is not None and not before.ending.is_in_pieces:
        state = {**before.tracked.state(), "trainstash": left.own}
        return state, newest, left.changed(before.tracked)
    try:
        saved = _of_file(before, newest[0])
    except ResumeError as error:
        say(f"{error} A new run begins, with the objects as they are now")
        return None, None, []
    lost = before.steps - newest[1]
    say(f"goes on from step {newest[1]:,}{f'; the {lost:,} steps after it are trained again' if lost > 0 else ''}")
    return saved, newest, []


def _newest(engine: Engine) -> Optional[Tuple[str, int]]:
    """Returns the id and the step of the newest checkpoint of a session, or of the one that it went on from."""
    if engine.checkpoints is not None and engine.checkpoints.newest is not None:
        return engine.checkpoints.newest
    resume = engine.launch.get("resume")
    return (resume["checkpoint"], resume["step"]) if resume else None


def _of_file(before: Engine, checkpoint: str) -> Dict[str, Any]:
    """Reads a checkpoint of this run: from its session's folder, or of a daemon that has taken it."""
    from .last_checkpoint import given_checkpoint
    from .launching import _read

    inbox = before.session.inbox if before.session is not None else ""
    for name in os.listdir(inbox) if os.path.isdir(inbox) else []:
        path = state_in(os.path.join(inbox, name))
        if name.endswith(f"-{checkpoint}") and os.path.exists(path):
            try:
                return _read(path)
            except ResumeError:
                break  # A daemon is just taking it.
    with given_checkpoint(checkpoint) as path:
        return _read(path)
