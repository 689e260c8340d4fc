"""The way from ``trainstash.init`` to a run: which session, which checkpoint, and what is restored."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Any, Dict, Mapping, Optional, Tuple, cast

from . import ResumeError, agreement, allocation, arrayfile, elastic, ptread, sharded, signals, workers
from .cells import given_up
from .distributed import Group, launched_rank
from .engine import Engine
from .environment import merged_params
from .fingerprints import NOTES_FILE
from .resharding import FOLDER_KEY
from .run import Run
from .session import ARRAYS_FILE, CHECKPOINT_FILE, Session, managed_session, say, state_in
from .tracked import Tracked
from .wishes import Wishes, in_force

_OWNER_VARIABLE = "TRAINSTASH_OWNER"

#: Where a checkpoint lies, what it holds, and its id and step.
_Saved = Tuple[Optional[str], Optional[Dict[str, Any]], Optional[Tuple[str, int]]]

_current: Optional[Run] = None


def start(wishes: Wishes, tracked: Mapping[str, Any]) -> Run:
    """Begins the training of this process; see ``trainstash.init``."""
    global _current
    wishes.check()
    if any("keras" in (kind.__module__.partition(".")[0] for kind in type(value).__mro__) for value in tracked.values()):
        from .keras_loop import KerasRun

        return cast(Run, KerasRun(wishes, tracked))
    group = Group()
    given = dict(wishes.params or {})
    owner = os.environ.get(_OWNER_VARIABLE)
    if owner is not None and owner != str(os.getpid()) and launched_rank() is None and not group.several:
        # A worker of a data loader, a process of a pool: the training is its parent's.
        return Run(Engine(None, {}, Tracked(tracked), given, group))
    if _current is not None and not _current.over and not given_up(_current._newest):
        say("one process records one training; this second init() is not recorded")
        return Run(Engine(None, {}, Tracked(tracked), given, group))
    signals.watch()
    workers.guard()
    _current = _open(given, wishes, Tracked(tracked), group)
    os.environ[_OWNER_VARIABLE] = str(os.getpid())
    return _current


def _open(params: Dict[str, Any], wishes: Wishes, tracked: Tracked, group: Group) -> Run:
    session = managed_session(wishes.badge)
    if session is not None and elastic.attempt() > 0:
        _start_again(session, is_first=group.rank == 0)
    launch: Mapping[str, Any] = session.launch if session else {}
    path, saved, origin = _found_for_all(group, session, wishes.resume)
    if session is None and group.rank == 0:
        from .unmanaged import newest_checkpoint, own_session

        unfinished = None if saved is not None else newest_checkpoint()
        session = own_session(params, origin, in_force({}, wishes), badge=wishes.badge)
        launch = session.launch if session else {}
        if session:
            _offer(unfinished)
    # The script's wishes count where the launch says nothing of them.
    force = in_force(launch, wishes)
    launch = {**launch, "checkpoint": force.checkpoint, "keep": force.keep, "monitor": force.monitor}
    if session is not None:
        session.launch = launch
    # The other ranks decide nothing and write nothing.
    params = merged_params(params, launch.get("params"))
    is_recorded = bool(group.share(session is not None))
    if not is_recorded:
        signals.release()
    engine = Engine(session if group.rank == 0 else None, launch, tracked, params, group, is_recorded)
    if saved is not None:
        again = functools.partial(_read, path) if path is not None and not group.several else None
        engine.restore(saved, wishes.schedule, _session_before(session, path), again)
    engine.begin()
    if session is not None and elastic.attempt() > 0:
        where = f"from step {engine.steps:,}" if saved is not None else "from the beginning: there was no checkpoint yet"
        text = f"torchrun has started the processes again (restart {elastic.attempt()}); they go on {where}."
        engine.notice("restarted", "warning", text)
    return Run(engine)


def _start_again(session: Session, is_first: bool) -> None:
    """Goes on from the newest checkpoint after the processes before these have failed, in the same session."""
    resume = elastic.newest(session.inbox)
    if resume is not None:
        session.launch = {**session.launch, "resume": resume}
    if is_first:
        with contextlib.suppress(OSError):
            os.remove(session.file("exit.json"))


def _found_for_all(group: Group, session: Optional[Session], resume: Optional[str]) -> _Saved:
    """Finds the checkpoint to resume from. A job that its scheduler has started again goes on from its own newest one, without
    being told, unless it was launched with another."""
    life = allocation.later_life()
    is_told = resume is not None or (session is not None and bool(session.launch.get("run") or session.launch.get("resume")))
    if group.share(life is None or is_told):
        return _saved_for_all(group, session, resume)
    return _last_for_all(group, of=life) if group.several else _last(life)


def _saved_for_all(group: Group, session: Optional[Session], resume: Optional[str]) -> _Saved:
    """Finds the checkpoint to resume from, which has to be the same on all ranks.

    Raises:
        ResumeError: On all ranks, with the same words: one has no such checkpoint, or another one.
    """
    if session is None and elastic.attempt() > 0:
        found: _Saved = _last_for_all(group, elastic.launched_at())
        if found[0] is not None:
            return found
    if not group.several:
        return _saved(session, resume)
    way = "session" if session else "last" if resume == "last" else "path"
    if group.gather(way) == ["last"] * group.world:
        return _last_for_all(group)
    found = (None, None, None)
    problem: Optional[str] = None
    try:
        found = _saved(session, resume)
    except ResumeError as error:
        # The others wait for this rank's answer: it raises with them.
        problem = str(error)
    agreement.require_same(group, found[0], found[1], problem)
    return found


def _last_for_all(group: Group, since: Optional[float] = None, of: Optional[allocation.Allocation] = None) -> _Saved:
    """Takes the last checkpoint that rank 0 finds: two ranks that look by themselves may find two. ``since``: an older one does not
    count, and it is no error when there may be another."""
    from .last_checkpoint import last_checkpoint

    with contextlib.ExitStack() as stack:
        found: Optional[Tuple[str, str, int]] = None
        refusal: Optional[str] = None
        if group.rank == 0:
            try:
                given = stack.enter_context(last_checkpoint(of))
                found = (given.path, given.checkpoint, given.step) if given and given.created >= (since or 0) else None
            except ResumeError as error:
                refusal = str(error) if since is None else None
        found, refusal = group.share((found, refusal))
        if refusal is not None:
            raise ResumeError(refusal)
        if found is None:
            return None, None, None
        path, checkpoint, step = found
        saved: Optional[Dict[str, Any]] = None
        problem: Optional[str] = None
        try:
            saved = _read(path) if os.path.exists(path) else None
        except ResumeError as error:
            problem = str(error)
        # The files are there until rank 0 leaves this block, so it waits here for the others.
        agreement.require_same(group, path if saved else None, saved, problem)
        return path, saved, (checkpoint, step)


def _saved(session: Optional[Session], resume: Optional[str]) -> _Saved:
    """Finds the checkpoint to resume from: where it lies, what it holds, and which one it is, if its folder still says so."""
    path: Optional[str] = None
    if session:
        if session.launch.get("resume"):
            candidate = state_in(os.path.join(session.path, session.launch["resume"]["directory"]))
            # A script that saved by itself before it had the package resumes as it did then.
            path = candidate if os.path.exists(candidate) else None
    elif resume == "last":
        return _last()
    else:
        path = _wanted(resume)
    saved = _read(path, _is_verified(session, path)) if path else None
    return path, saved, _origin(path, saved)


def _last(of: Optional[allocation.Allocation] = None) -> _Saved:
    from .last_checkpoint import last_checkpoint

    with last_checkpoint(of) as given:
        return (given.path, _read(given.path), (given.checkpoint, given.step)) if given else (None, None, None)


def _session_before(session: Optional[Session], path: Optional[str]) -> Optional[str]:
    """Finds the folder of the session that took the checkpoint: it has noted what it computed afterwards."""
    resume = session.launch.get("resume") if session else None
    beside = os.path.join(os.path.dirname(session.path), str(resume["session"])) if session and resume and resume.get("session") else None
    # A checkpoint that nobody has taken in yet lies in its session's inbox.
    around = os.path.dirname(os.path.dirname(os.path.dirname(path))) if path else None
    for folder in (beside, around):
        if folder is not None and os.path.exists(os.path.join(folder, NOTES_FILE)):
            return folder
    return None


def _is_verified(session: Optional[Session], path: str) -> bool:
    """Tells whether the daemon has just compared this very file with its hashes."""
    resume = session.launch.get("resume") if session else None
    stamp = resume.get("verified") if resume else None
    if not stamp:
        return False
    stat = os.stat(path)
    return (str(stat.st_ino), stat.st_size, str(stat.st_mtime_ns)) == (stamp["ino"], stamp["bytes"], stamp["mtimeNs"])


def _origin(path: Optional[str], saved: Optional[Mapping[str, Any]]) -> Optional[Tuple[str, int]]:
    """Reads which checkpoint a file belongs to, if its folder still says so: its id, and its step."""
    if path is None or saved is None:
        return None
    import json

    try:
        with open(os.path.join(os.path.dirname(path), CHECKPOINT_FILE), encoding="utf-8") as file:
            return json.load(file)["id"], int(saved["trainstash"]["step"])
    except (OSError, ValueError, KeyError):
        return None


def _wanted(resume: Optional[str]) -> Optional[str]:
    if resume is None:
        return None
    if os.path.isdir(resume):
        resume = state_in(resume)
    if not os.path.exists(resume):
        raise ResumeError(f"There is no checkpoint at {resume}. Nothing was started.")
    return resume


def _offer(path: Optional[str]) -> None:
    if path:
        step = os.path.basename(os.path.dirname(path)).split("-")[0].lstrip("0") or "0"
        say(f'an unfinished run stands at step {int(step):,}; "trainstash resume" continues it')


def _read(path: str, verified: bool = False) -> Dict[str, Any]:
    try:
        saved = arrayfile.read(path) if path.endswith(ARRAYS_FILE) else ptread.read(path, verified)
    except Exception as error:
        raise ResumeError(f"{path} cannot be read: {error}. Nothing was started.") from error
    if not isinstance(saved, dict) or "trainstash" not in saved:
        raise ResumeError(f"{path} is no checkpoint of this package. Nothing was started.")
    shards = os.path.join(os.path.dirname(path), sharded.FOLDER)
    if os.path.isdir(shards):
        saved["trainstash"][FOLDER_KEY] = shards
    return saved
