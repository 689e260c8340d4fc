"""The branch and the commit that a script is started on. git is asked; where it does not answer, its files are read, and the
reason is said: a training is never recorded as one without git because git has failed."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Mapping, NamedTuple, Optional

_SECONDS = 5
_LONGEST = 300
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# git's variables for its configuration: containers set safe.directory so. Others would make it answer for another repository.
_CONFIGURATION = re.compile(r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH)")


class Head(NamedTuple):
    """``problem``: why git did not answer, as a sentence without its full stop; None: it did."""

    branch: Optional[str]
    commit: Optional[str]
    problem: Optional[str]


class _GitFailed(Exception):
    pass


def read_head(root: str) -> Head:
    """Returns what HEAD of the repository at ``root`` is; without a repository there, nothing and no problem."""
    dot = os.path.join(root, ".git")
    if not os.path.exists(dot):
        return Head(None, None, None)
    try:
        return Head(_git(root, "symbolic-ref", "--short", "-q", "HEAD"), _git(root, "rev-parse", "-q", "--verify", "HEAD"), None)
    except _GitFailed as error:
        return Head(*_from_files(dot), str(error))


def common_folder(dot: str) -> str:
    """Finds the folder of git that all worktrees share, from a ``.git`` that is a file or that folder."""
    folder = _own_folder(dot)
    common = os.path.join(folder, "commondir")
    return os.path.normpath(os.path.join(folder, _read(common))) if os.path.exists(common) else folder


def _git(root: str, *arguments: str) -> Optional[str]:
    """Asks git; None where it answers that there is nothing: a detached HEAD, no commit yet."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise _GitFailed("there is no program `git` on the PATH") from None
    except subprocess.TimeoutExpired:
        raise _GitFailed(f"`git` did not end within {_SECONDS} seconds") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise _GitFailed(f"`git` cannot be run ({error})") from None
    if done.returncode == 0:
        return done.stdout.decode(errors="replace").strip()
    if done.returncode == 1:
        return None
    raise _GitFailed(_reason(root, " ".join(done.stderr.decode(errors="replace").split())[:_LONGEST]))


def _reason(root: str, said: str) -> str:
    quoted = f" (git: {said})" if said else ""
    owner, user = _owner(root), getattr(os, "geteuid", lambda: None)()
    if owner is not None and user is not None and owner != user:
        trust = f"git config --global --add safe.directory {root}"
        return (
            f"{root} belongs to user {owner} and this is user {user}, which git refuses until you say that you trust it: `{trust}`{quoted}"
        )
    return f"git cannot read the repository{quoted}"


def _owner(root: str) -> Optional[int]:
    try:
        return os.stat(root).st_uid
    except OSError:
        return None


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _CONFIGURATION.fullmatch(name)}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _from_files(dot: str) -> "tuple[Optional[str], Optional[str]]":
    head = _read(os.path.join(_own_folder(dot), "HEAD"))
    if _COMMIT.fullmatch(head):
        return None, head
    name = head.partition("ref: ")[2]
    # This file names no branch in a repository with references in tables.
    if not name.startswith("refs/heads/") or name == "refs/heads/.invalid":
        return None, None
    common = common_folder(dot)
    commit = _read(os.path.join(common, *name.split("/")))
    if not _COMMIT.fullmatch(commit):
        packed = _read(os.path.join(common, "packed-refs")).splitlines()
        commit = next((line.split(" ")[0] for line in packed if line.endswith(f" {name}")), "")
    return name[len("refs/heads/") :], commit if _COMMIT.fullmatch(commit) else None


def _own_folder(dot: str) -> str:
    if os.path.isdir(dot):
        return dot
    return os.path.normpath(os.path.join(os.path.dirname(dot), _read(dot).partition("gitdir:")[2].strip()))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
