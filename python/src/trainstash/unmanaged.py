"""A script that was started by hand: it makes its own session folder, holds its lock, and says how it ended. A daemon
that looks at the project later takes it over and gives the run its name."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import sqlite3
import sys
import time
from typing import Any, List, Mapping, Optional, Tuple

from . import allocation, notebook
from .badge import badge_of
from .environment import plain_params
from .file_systems import network_file_system
from .head import common_folder, read_head
from .masking import mask_words
from .numbers import has_diverged
from .session import CHECKPOINT_FILE, Session, random_id, say, state_in, sync_folder, write_json
from .store_place import store_place
from .wishes import InForce, Wishes, in_force


def own_session(
    params: Mapping[str, Any], resume: Optional[Tuple[str, int]], force: Optional[InForce] = None, folder: Optional[str] = None, badge: bool = True
) -> Optional[Session]:
    """Makes a session folder.

    Args:
        params: Hyper-parameters.
        resume: The id of the checkpoint to go on from and its step.
        force: When checkpoints are taken, and which are kept; None: the defaults.
        folder: The folder for files of the run that it belongs to; None: a new run.
        badge: Whether a notebook shows one.

    Returns:
        None, with a line said, when no folder can be had.
    """
    root, store = find_store(os.getcwd())
    network = network_file_system(store)
    try:
        session = _make(root, store, network is None, params, resume, force or in_force({}, Wishes()), folder, badge)
    except (OSError, sqlite3.Error) as error:
        where = getattr(error, "filename", None) or store
        why = getattr(error, "strerror", None) or error
        say(f"this training is not recorded: {where} cannot be written ({why}). Give this user write access there to keep it")
        return None
    if network is None:
        say(f"no daemon started this; it is recorded in {session.path}")
    else:
        say(
            f"{store} is on a network or pass-through file system ({network}), where database locks do not hold: no daemon takes this "
            f"run, and `trainstash ls` does not show it. Its newest checkpoints stay in {session.path}, and resume=\"last\" goes on "
            "from them. `trainstash where --stores FOLDER` names a folder on a local disk, where everything is kept"
        )
    return session


def find_store(start: str) -> Tuple[str, str]:
    """Finds the project's root and its store: in the git folder that all worktrees share, or beside the files without git; on a
    network file system in a folder of this machine, where one is known."""
    root, usual = _usual_store(start)
    return root, store_place(usual)


def _usual_store(start: str) -> Tuple[str, str]:
    folder = os.path.abspath(start)
    while True:
        dot = os.path.join(folder, ".git")
        if os.path.isdir(dot):
            return folder, os.path.join(dot, "trainstash")
        if os.path.isfile(dot):
            return folder, os.path.join(common_folder(dot), "trainstash")
        if os.path.isdir(os.path.join(folder, ".trainstash")):
            return folder, os.path.join(folder, ".trainstash")
        above = os.path.dirname(folder)
        if above == folder:
            start = os.path.abspath(start)
            return start, os.path.join(start, ".trainstash")
        folder = above


def job_name() -> str:
    """Names the job that runs of this script, or of this notebook, belong to."""
    return notebook.name() or os.path.splitext(os.path.basename(sys.argv[0] or "python"))[0] or "python"


def notebook_in(root: str) -> Optional[str]:
    """Returns the path of this process's notebook in the project; None for a script, and where nobody knows it."""
    found = notebook.path()
    return None if found is None else os.path.relpath(os.path.realpath(found), os.path.realpath(root)).replace(os.sep, "/")


def _is_of_another(launch: Mapping[str, Any], own: Optional[str]) -> bool:
    """Tells whether a session is of a notebook of the same name in another folder."""
    command, root = launch.get("command") or {}, str(launch.get("root"))
    word = str((command.get("words") or [""])[-1])
    if own is None or not word.endswith(".ipynb"):
        return False
    path = os.path.realpath(os.path.join(str(command.get("cwd")), word))
    return os.path.relpath(path, os.path.realpath(root)).replace(os.sep, "/") != own


def newest_checkpoint(of: Optional[allocation.Allocation] = None) -> Optional[str]:
    """Finds the newest ``state.pt`` that a session of this script left and nobody took yet; one of a diverged state last. ``of``: only
    of earlier lives of this job."""
    root, store = find_store(os.getcwd())
    found: List[Tuple[bool, float, str]] = []
    sessions = os.path.join(store, "sessions")
    job, own = job_name(), notebook_in(root)
    for session in _listed(sessions):
        launch = _launch_of(os.path.join(sessions, session, "launch.json"))
        if launch.get("job") != job or _is_of_another(launch, own) or (of is not None and not allocation.is_of(launch, of)):
            continue
        for box in ("inbox", "taking"):
            for name in _listed(os.path.join(sessions, session, box)):
                folder = os.path.join(sessions, session, box, name)
                path = state_in(folder)
                if not name.startswith((".", "bad-")) and os.path.exists(path):
                    found.append((not _is_diverged(folder), os.path.getmtime(path), path))
    return max(found)[2] if found else None


def sweep(store: str) -> None:
    """Removes what writers left that were killed in the middle of a checkpoint: nobody will ever finish it. A session whose
    lock is held has a writer that lives."""
    sessions = os.path.join(store, "sessions")
    for session in _listed(sessions):
        inbox = os.path.join(sessions, session, "inbox")
        left = [name for name in _listed(inbox) if name.startswith(".tmp-")]
        if left and _is_over(os.path.join(sessions, session)):
            for name in left:
                shutil.rmtree(os.path.join(inbox, name), ignore_errors=True)


def _is_over(session: str) -> bool:
    path = os.path.join(session, "lock")
    if not os.path.exists(path):
        return False  # It is being made.
    lock = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        lock.execute("PRAGMA journal_mode=MEMORY")
        lock.execute("BEGIN EXCLUSIVE")
        return True
    except sqlite3.Error:
        return False
    finally:
        lock.close()


def _make(
    root: str,
    store: str,
    locks_hold: bool,
    params: Mapping[str, Any],
    resume: Optional[Tuple[str, int]],
    force: InForce,
    folder: Optional[str],
    badge: bool,
) -> Session:
    if not os.path.isdir(store):
        os.makedirs(store, mode=0o700, exist_ok=True)
        if os.path.basename(store) == ".trainstash":
            with open(os.path.join(store, ".gitignore"), "w", encoding="utf-8") as file:
                file.write("*\n")
    if locks_hold:
        sweep(store)
    session = random_id()
    path = os.path.join(store, "sessions", session)
    for name in ("inbox", "taking"):
        os.makedirs(os.path.join(path, name), mode=0o700, exist_ok=True)
    words = mask_words(notebook.words() or [sys.executable or "python", *(sys.argv if sys.argv and sys.argv[0] else ["-"])])
    own = allocation.here()
    launch = {
        "format": 1,
        "session": session,
        "run": None,
        "runNumber": None,
        "job": job_name(),
        "purpose": "train",
        "root": root,
        "cwd": root,
        "module": "",
        "command": {
            "words": words,
            "cwd": os.getcwd(),
            "env": {},
            # The same in all lives of one job: it names the run.
            "dir": folder or allocation.earlier_folder(os.path.join(store, "sessions"), words) or os.path.join(store, "files", session),
            "checkpoints": [],
            "facts": {},
        },
        "params": plain_params(params),
        "seed": 0,
        "backend": "",
        "files": [],
        "resume": None
        if resume is None
        else {
            "directory": "restore",
            "checkpoint": resume[0],
            "step": resume[1],
            "expected": {"data": None, "backend": None},
            "accept": [],
        },
        "untilStep": None,
        "untilEpoch": None,
        "checkpoint": dict(force.checkpoint),
        "onNaN": "ignore",
        "onSpike": "ignore",
        "monitor": force.monitor and dict(force.monitor),
        "keep": dict(force.keep),
        "identity": _identity(root),
        "createdAt": time.time() * 1000,
        "allocation": own and own._asdict(),
    }
    write_json(os.path.join(path, "launch.json"), launch, durable=True)
    lock = _locked(path)
    made = Session(path, launch, alone=True, lock=lock, badge=badge_of(str(launch["job"]), badge))
    # The lock lives as long as this process: it is what tells that the run does.
    atexit.register(lock.close)
    return made


def _locked(path: str) -> sqlite3.Connection:
    """Takes the lock of a new session, and notes whose it is."""
    lock = sqlite3.connect(os.path.join(path, "lock"), isolation_level=None, check_same_thread=False, timeout=5)
    lock.execute("PRAGMA journal_mode=MEMORY")
    lock.execute("BEGIN EXCLUSIVE")
    process = {
        "pid": os.getpid(),
        "startTime": _start_time(),
        "host": socket.gethostname(),
        "bootId": _read("/proc/sys/kernel/random/boot_id"),
    }
    write_json(os.path.join(path, "process.json"), process)
    sync_folder(path)
    return lock


def _identity(root: str) -> Mapping[str, Any]:
    branch, commit, problem = read_head(root)
    if problem is not None:
        where = f"on {branch}, as git's file HEAD says" if branch else "without its branch"
        say(f"git does not answer: {problem}. This training is recorded {where}, and in the same store as always")
    return {"branch": branch, "commit": commit, "dirty": False, "code": None}


def _is_diverged(folder: str) -> bool:
    try:
        return has_diverged(None, json.loads(_read(os.path.join(folder, CHECKPOINT_FILE)))["metrics"].__getitem__)
    except (ValueError, KeyError, TypeError):
        return False


def _launch_of(path: str) -> Mapping[str, Any]:
    try:
        launch = json.loads(_read(path))
    except ValueError:
        return {}
    return launch if isinstance(launch, dict) else {}


def _start_time() -> Optional[str]:
    stat = _read("/proc/self/stat")
    return stat[stat.rindex(")") + 2 :].split(" ")[19] if ")" in stat else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _listed(path: str) -> List[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
