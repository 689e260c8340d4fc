"""Checkpoints that no daemon has taken in: for days nobody may come for them, and the disk must not fill up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .numbers import from_wire, has_diverged, is_better
from .session import CHECKPOINT_FILE

#: This many of the newest stay in the inbox, and the best.
UNTAKEN_LAST = 3

_Monitor = Optional[Mapping[str, str]]
_Entry = Tuple[str, Optional[Dict[str, Any]]]


def prune(inbox: str, monitor: _Monitor) -> None:
    """Removes all but the newest, the best, and those that somebody asked for."""
    names = sorted(name for name in os.listdir(inbox) if not name.startswith("."))
    if len(names) <= UNTAKEN_LAST:
        return
    entries: List[_Entry] = [(name, _facts(inbox, name)) for name in names]
    good = [(name, facts) for name, facts in entries if facts and not has_diverged(monitor, facts["metrics"].__getitem__)]
    best = _best(good, monitor)
    # One of a diverged state takes the place of no good one.
    newest = {name for name, _ in [*good[-UNTAKEN_LAST:], *entries[-UNTAKEN_LAST:]]}
    for name, facts in entries:
        if facts and name != best and name not in newest and "request" not in facts["reasons"]:
            # Renamed first: a daemon takes all of it, or finds nothing.
            hidden = os.path.join(inbox, f".tmp-{name}")
            with contextlib.suppress(OSError):
                os.rename(os.path.join(inbox, name), hidden)
                shutil.rmtree(hidden, ignore_errors=True)


def _best(entries: Sequence[_Entry], monitor: _Monitor) -> Optional[str]:
    if monitor is None:
        return None
    best: Optional[str] = None
    record: Optional[float] = None
    for name, facts in entries:
        if facts and monitor["metric"] in facts["metrics"]:
            value = from_wire(facts["metrics"][monitor["metric"]])
            if is_better(monitor, value, record):
                best, record = name, value
    return best


def _facts(inbox: str, name: str) -> Optional[Dict[str, Any]]:
    try:
        with open(os.path.join(inbox, name, CHECKPOINT_FILE), encoding="utf-8") as file:
            facts: Dict[str, Any] = json.load(file)
            return facts
    except (OSError, ValueError):
        return None  # A daemon has claimed it since the listing.
