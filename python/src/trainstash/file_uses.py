"""The files that a script's own lines open and change while it trains. Python tells of them by its audit events, which nobody can switch off
again: they are asked for only where the text of a loop reads files or folders."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any, Dict, NamedTuple, Optional, Set, Tuple

from .script import is_ours, is_users

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLDERS = frozenset(["os.listdir", "os.scandir"])
# Events about a path, or two, that is changed.
_CHANGES = frozenset(["os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.utime", "sqlite3.connect"])
_MOST = 10_000

#: A file of the script, and a line in it.
Line = Tuple[str, int]


class Uses(NamedTuple):
    """The paths by the lines that used them, and all paths that were changed. ``listed``: folders that were listed."""

    read: Dict[Line, Set[str]]
    listed: Dict[Line, Set[str]]
    written: Dict[Line, Set[str]]
    changed: Set[str]


_uses: Optional[Uses] = None


def watch() -> None:
    """Begins to note the files that the script uses."""
    global _uses
    if _uses is None:
        _uses = Uses({}, {}, {}, set())
        sys.addaudithook(_heard)


def uses() -> Uses:
    return _uses or Uses({}, {}, {}, set())


def _heard(event: str, given: Tuple[Any, ...]) -> None:
    if event != "open" and event not in _FOLDERS and event not in _CHANGES:
        return
    try:
        _note(event, given)
    except Exception:
        return  # An event must never become an error of the script.


def _note(event: str, given: Tuple[Any, ...]) -> None:
    line = _line_of(sys._getframe(2))
    if line is None or _uses is None or len(_uses.changed) > _MOST:
        return
    paths = [path for path in map(_path, given[:2] if event in ("os.rename", "os.link", "os.symlink") else given[:1]) if path is not None]
    if event in _FOLDERS:
        _uses.listed.setdefault(line, set()).update(paths)
        return
    mode, flags = (given[1], given[2]) if event == "open" else ("w", 0)
    is_written = any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool(flags & _WRITES)
    if is_written:
        _uses.written.setdefault(line, set()).update(paths)
        _uses.changed.update(paths)
    if not is_written or (isinstance(mode, str) and "+" in mode) or flags & os.O_RDWR or event == "sqlite3.connect":
        _uses.read.setdefault(line, set()).update(paths)


def _path(given: Any) -> Optional[str]:
    if given is None:
        return os.getcwd()
    return None if isinstance(given, int) else os.path.abspath(os.fsdecode(given))


def _line_of(frame: Optional[FrameType]) -> Optional[Line]:
    """Returns the script's line that the event comes from; None for what this package does."""
    while frame is not None:
        if is_ours(frame.f_code):
            return None
        if is_users(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None
