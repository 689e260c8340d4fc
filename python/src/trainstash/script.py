"""The frames of the user's script: where a call stands, and how a loop was left. Frames are looked at and never changed."""

from __future__ import annotations

import dis
import os
import re
import sys
from types import CodeType, FrameType
from typing import Dict, List, NamedTuple, Optional, Tuple

_HERE = os.path.dirname(os.path.abspath(__file__))
# Cells of notebooks are compiled from files whose names are others in each process.
_CELL = re.compile(r"ipykernel_\d+|^<ipython-input|^<cell")
# Instructions that give an iterator up because its loop is over; an exception leaves another one.
_ENDS_OF_LOOPS = ("POP_TOP", "POP_ITER", "END_FOR", "FOR_ITER")


class Site(NamedTuple):
    """A place in the script. ``key`` is the same in another process with the same code; ``shown`` is for people."""

    key: str
    shown: str


class Way(NamedTuple):
    """The calls by which the script came to a loop. ``text`` is the same in another process with the same code; ``is_in_loop``:
    the loop stands in another one, so that the script may come there again. ``lines`` are those of the calls."""

    text: str
    is_in_loop: bool
    lines: Dict[CodeType, int]


NOWHERE = Way("", False, {})


def caller(depth: int = 1) -> Optional[FrameType]:
    """Finds the innermost frame that is not of this package, beginning ``depth`` frames above the one that asks."""
    frame: Optional[FrameType] = sys._getframe(depth + 1)
    while frame is not None and _is_passed_over(frame.f_code):
        frame = frame.f_back
    return frame


#: Frames that are part of an expression of the frame above them.
_INSIDE_AN_EXPRESSION = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")


def _is_passed_over(code: CodeType) -> bool:
    return is_ours(code) or code.co_name in _INSIDE_AN_EXPRESSION


def is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_HERE)


def site_of(frame: Optional[FrameType]) -> Site:
    if frame is None:
        return Site("", "")
    code = frame.f_code
    name = shown_file(code)
    function = getattr(code, "co_qualname", code.co_name)
    # The line within a function, so that what is written above it changes nothing.
    line = frame.f_lineno - (code.co_firstlineno if code.co_name != "<module>" else 0)
    return Site(f"{name}:{function}:{line}", f"{name}:{frame.f_lineno}")


def shown_file(code: CodeType) -> str:
    """Returns the name of a file, without its folder."""
    return "cell" if _CELL.search(code.co_filename) else os.path.basename(code.co_filename)


def was_left_in_order(frame: Optional[FrameType]) -> bool:
    """Tells whether the loop whose iterator is given up in this frame has ended, or was left by ``break`` or ``return``. After
    an exception the newest instruction is the one that raised it."""
    if frame is None:
        return False
    return _instruction(frame.f_code, frame.f_lasti) in _ENDS_OF_LOOPS


def is_for(code: CodeType, instruction: int) -> bool:
    """Tells whether an iterator was asked by a ``for``, and not by ``next``."""
    return _instruction(code, instruction) == "FOR_ITER"


def frames_above(frame: Optional[FrameType]) -> List[FrameType]:
    """Returns a frame and those that called it, as far as they are the user's: in files of no installed package."""
    found: List[FrameType] = []
    while frame is not None and len(found) < 20:
        if not _is_passed_over(frame.f_code) and is_users(frame.f_code.co_filename):
            found.append(frame)
            if frame.f_code.co_name == "<module>":
                break  # The code that runs the script is no part of it.
        frame = frame.f_back
    return found


def is_users(path: str) -> bool:
    """Tells whether a file is the script's own code, and not an installed package or Python itself."""
    known = _users.get(path)
    if known is None:
        inside = f"{os.sep}site-packages{os.sep}" in path or f"{os.sep}dist-packages{os.sep}" in path
        library = path.startswith(os.path.dirname(os.__file__)) or (path.startswith("<") and _CELL.search(path) is None)
        known = _users[path] = not inside and (not library or path in ("<string>", "<stdin>"))
    return known


_users: Dict[str, bool] = {}
_instructions: Dict[Tuple[CodeType, int], str] = {}


def _instruction(code: CodeType, offset: int) -> str:
    known = _instructions.get((code, offset))
    if known is None:
        names = {one.offset: one.opname for one in dis.get_instructions(code)}
        known = _instructions[code, offset] = names.get(offset, "")
    return known
