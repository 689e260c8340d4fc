"""The allocation of a scheduler around this process: a batch job, a pod, a unit. A training in one is started again there, and then
goes on by itself. The daemon and the command line judge by the same rule."""

from __future__ import annotations

import json
import os
import re
import socket
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from .distributed import launched_rank
from .shared import rules

#: Exit code of a process that is to be started again: EX_TEMPFAIL of sysexits.h.
AGAIN = 75
_OVERRIDE = "TRAINSTASH_ALLOCATION"


class Allocation(NamedTuple):
    kind: str
    job: str
    #: How many times the scheduler has started the job again; None: it does not say.
    restart: Optional[int]
    node: str


def here() -> Optional[Allocation]:
    """Names the allocation around this process; None: there is none."""
    return allocation_of(os.environ, any(_is_terminal(number) for number in (0, 1, 2)), _cgroup())


def allocation_of(variables: Mapping[str, str], has_terminal: bool, cgroup: str) -> Optional[Allocation]:
    """Applies the rule.

    Args:
        variables: The environment.
        has_terminal: Tells whether one of the standard streams is a terminal.
        cgroup: The last line of /proc/self/cgroup.
    """
    if variables.get(_OVERRIDE) == "none":
        return None
    for kind in rules("allocations").get("kinds", []):
        if not all(variables.get(name) for name in kind["variables"]):
            continue
        if (has_terminal and not kind["holdsTerminals"]) or not re.search(kind.get("cgroup", ""), cgroup):
            continue
        restart = _count(variables.get(kind["restarts"])) if "restarts" in kind else None
        node = variables.get(kind.get("node", "")) or socket.gethostname()
        return Allocation(str(kind["name"]), variables.get(kind["job"], ""), restart, node)
    return None


def exit_code(signal: Optional[str]) -> int:
    """Returns the code of a process that has obeyed a signal. In an allocation it asks to be started again, unless a launcher,
    which starts processes again itself, would take that for a failure."""
    return AGAIN if signal and launched_rank() is None and here() is not None else 0


def earlier_folder(sessions: str, words: List[str]) -> Optional[str]:
    """Finds the folder for files of the run that an earlier life of this job has begun with the same words; None: this is the
    first one. It names the run."""
    own = here()
    if own is None or not own.restart:
        return None
    found = [
        (launch.get("createdAt", 0), str(launch["command"]["dir"]))
        for launch in _launches(sessions)
        if is_of(launch, own) and (launch.get("command") or {}).get("words") == words
    ]
    return max(found)[1] if found else None


def is_of(launch: Mapping[str, Any], own: Allocation) -> bool:
    """Tells whether a session ran in an earlier life of the job."""
    known = launch.get("allocation") or {}
    return known.get("kind") == own.kind and known.get("job") == own.job and (known.get("restart") or 0) < (own.restart or 0)


def later_life() -> Optional[Allocation]:
    """Returns the allocation if its scheduler has started this job again; None: it has not, or does not say so."""
    own = here()
    return own if own is not None and own.restart else None


def _launches(sessions: str) -> List[Dict[str, Any]]:
    launches: List[Dict[str, Any]] = []
    try:
        names = os.listdir(sessions)
    except OSError:
        return launches
    for name in names:
        try:
            with open(os.path.join(sessions, name, "launch.json"), encoding="utf-8") as file:
                launch = json.load(file)
        except (OSError, ValueError):
            continue
        if isinstance(launch, dict):
            launches.append(launch)
    return launches


def _count(text: Optional[str]) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else 0


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


def _cgroup() -> str:
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            return file.read().strip().split("\n")[-1]
    except OSError:
        return ""
