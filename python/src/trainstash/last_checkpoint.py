"""The last checkpoint of a script that is started by hand: of its session folders, or of a daemon that has taken it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import time
from typing import Any, Dict, Iterator, NamedTuple, Optional

from . import ResumeError
from .allocation import Allocation
from .unmanaged import find_store, job_name, newest_checkpoint, notebook_in
from .from_remotes import pull_last
from .head import read_head
from .session import CHECKPOINT_FILE, random_id, say, state_in, write_json

_ANSWER_FILE = "answer.json"
#: Until it has seen the question: it looks every two seconds.
_SEEN_WITHIN_SECONDS = 30.0
_GIVEN_WITHIN_SECONDS = 1800.0
#: Seconds to wait for a checkpoint that a daemon is just taking in.
_TAKEN_WITHIN_SECONDS = 60.0
_LOOK_SECONDS = 0.1
# The end of the events, which tells the newest step.
_LAST_BYTES = 65_536


class Found(NamedTuple):
    path: str
    checkpoint: str
    step: int
    created: float
    #: The name of its run, where a daemon says it.
    run: Optional[str] = None


@contextlib.contextmanager
def last_checkpoint(of: Optional[Allocation] = None) -> Iterator[Optional[Found]]:
    """Its files are there as long as the context is. None: this script has none. ``of``: only of earlier lives of this job. Raises
    ResumeError when that cannot be known."""
    root, store = find_store(os.getcwd())
    owner = _owner(store)
    if owner is None:
        path = newest_checkpoint(of)
        given = _on_disk(path) if path else None
        if given is None and of is None:
            pull_last(root, store, job_name(), read_head(root).branch)
            # If the command line was there to be asked, it has started a daemon, which has what came in.
            owner = _owner(store)
        if given is None and owner is None and os.path.exists(os.path.join(store, "objects.db")):
            raise ResumeError(
                "The last checkpoint may be in the project's store, and no daemon is there to give it. Run `trainstash ls` in "
                f"{root} or open it in VS Code, and start this again; without resume=\"last\" it starts from the beginning. "
                "Nothing was started."
            )
        if given is not None:
            say(f"goes on from step {given.step:,}{_repeated(store, given)}")
        if given is None and owner is None:
            say("there is no checkpoint of this script yet; training starts from the beginning")
        if owner is None:
            yield given
            return
    folder = os.path.join(store, "asked", random_id())
    try:
        given = _asked(root, store, folder, owner, of)
        if given is not None:
            say(f"goes on from step {given.step:,}{f' of {given.run}' if given.run else ''}{_repeated(store, given)}")
        yield given
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.remove(f"{folder}.json")
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(folder))


@contextlib.contextmanager
def given_checkpoint(checkpoint: str) -> Iterator[str]:
    """Lets a daemon write out a checkpoint of this process's own, by its id. Raises ResumeError where none does."""
    _, store = find_store(os.getcwd())
    owner = _owner(store)
    if owner is None:
        raise ResumeError(f"The checkpoint {checkpoint} is not in its session's folder any more, and no daemon is there to give it.")
    folder = os.path.join(store, "asked", random_id())
    try:
        given = _ask(folder, {"job": job_name(), "branch": None, "checkpoint": checkpoint}, owner)
        if given is None:
            raise ResumeError(f"The daemon has no checkpoint {checkpoint}.")
        yield given.path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.remove(f"{folder}.json")


def _asked(root: str, store: str, folder: str, owner: int, of: Optional[Allocation]) -> Optional[Found]:
    job, branch, notebook = job_name(), read_head(root).branch, notebook_in(root)
    until = time.monotonic() + _TAKEN_WITHIN_SECONDS
    while True:
        given = _ask(folder, {"job": job, "branch": branch, "notebook": notebook, "allocation": of and of._asdict()}, owner)
        path = newest_checkpoint(of)
        on_disk = _on_disk(path) if path else None
        # A checkpoint in a session folder is about to be taken, and then given.
        if on_disk is None or (given is not None and given.created >= on_disk.created):
            break
        if time.monotonic() > until:
            given = on_disk
            break
        shutil.rmtree(folder, ignore_errors=True)
    if given is None and of is None and pull_last(root, store, job, branch):
        shutil.rmtree(folder, ignore_errors=True)
        given = _ask(folder, {"job": job, "branch": branch, "notebook": notebook, "allocation": None}, owner)
    if given is None:
        say(f"there is no checkpoint of {job}{f' on {branch}' if branch else ''} yet; training starts from the beginning")
    return given


def _ask(folder: str, question: Dict[str, Any], owner: int) -> Optional[Found]:
    asked = f"{folder}.json"
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    write_json(asked, question)
    until = time.monotonic() + _SEEN_WITHIN_SECONDS
    while os.path.exists(asked):
        if time.monotonic() > until or not _lives(owner):
            raise ResumeError(
                f"The daemon (process {owner}) has the last checkpoint and does not answer. Nothing was started; try again, or "
                "`trainstash daemon stop` and then `trainstash ls` start another."
            )
        time.sleep(_LOOK_SECONDS)
    # It is written out now, which for many gigabytes takes as long as copying them.
    until = time.monotonic() + _GIVEN_WITHIN_SECONDS
    while True:
        answer = _read_json(os.path.join(folder, _ANSWER_FILE))
        if answer is not None:
            break
        if time.monotonic() > until or not _lives(owner):
            raise ResumeError("The daemon did not end giving the last checkpoint. Nothing was started; try again.")
        time.sleep(_LOOK_SECONDS)
    if answer["error"]:
        raise ResumeError(f"The last checkpoint cannot be given: {answer['error']} Nothing was started.")
    if answer["checkpoint"] is None:
        return None
    return Found(state_in(folder), answer["checkpoint"], answer["step"], answer["createdAt"], answer["run"])


def _on_disk(path: str) -> Optional[Found]:
    facts = _read_json(os.path.join(os.path.dirname(path), CHECKPOINT_FILE))
    return Found(path, facts["id"], facts["step"], facts["createdAt"]) if facts else None


def _repeated(store: str, given: Found) -> str:
    """Says how many steps after a checkpoint are trained again, as far as its session has told of them."""
    facts = _read_json(os.path.join(os.path.dirname(given.path), CHECKPOINT_FILE)) or {}
    session = os.path.basename(str(facts.get("session")))
    try:
        with open(os.path.join(store, "sessions", session, "events.ndjson"), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            steps = [int(found) for found in re.findall(rb'"type":"metrics","step":(\d+)', file.read())]
    except OSError:
        return ""
    lost = max(steps, default=0) - given.step
    return f"; the {lost:,} steps after it were lost and are trained again" if lost > 0 else ""


def _owner(store: str) -> Optional[int]:
    """Finds the process that has the store open, if it lives here."""
    record = _read_json(os.path.join(store, "owner.json")) or {}
    pid = record.get("pid")
    return pid if isinstance(pid, int) and record.get("host") == socket.gethostname() and _lives(pid) else None


def _lives(pid: int) -> bool:
    if os.name == "nt":
        return True  # Here a signal would end it; the waiting has an end of its own.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _read_json(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
