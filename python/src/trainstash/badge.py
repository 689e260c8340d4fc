"""The badge of a run on the cell that trains: one output of a notebook, which is updated."""

from __future__ import annotations

import json
import os
import time
import uuid
from html import escape
from typing import Any, Dict, List, Optional, Tuple

from . import notebook

#: Switches the badge off.
BADGE_VARIABLE = "TRAINSTASH_BADGE"
_OFF = ("0", "off", "no", "false")
#: Between two updates; and the share of the training's time that they may cost.
_SECONDS = 0.5
_SHARE = 0.001
_MOST_METRICS = 4
_MOST_LETTERS = 60

_STYLES = {"training": "#3b82f6", "pausing": "#d97706", "paused": "#d97706", "completed": "#16a34a", "failed": "#dc2626", "stopped": "#6b7280"}


def badge_of(name: str, is_wanted: bool) -> Optional[Badge]:
    """Makes the badge of a run; None in a script, and where somebody does not want it."""
    if not is_wanted or os.environ.get(BADGE_VARIABLE, "").lower() in _OFF or notebook.shell() is None:
        return None
    return Badge(name)


class Badge:
    """Shows what the events of a session tell. What goes wrong here is left out: it is only a picture."""

    def __init__(self, name: str) -> None:
        self._name = name
        # The newest event of each kind, as JSON without its braces: only what is shown is parsed.
        self._events: Dict[str, str] = {}
        self._cell: Any = None
        self._id = ""
        self._next = 0.0
        self._first: Optional[Tuple[float, int]] = None
        self._known: Dict[str, Any] = {}
        self._state = "training"
        self._is_over = False

    def take(self, kind: str, fields: str) -> None:
        """Takes in an event, and shows it when it is time."""
        self._events[kind] = fields
        if kind == "metrics" or kind == "plan":
            self.look()

    def look(self, step: Optional[int] = None) -> None:
        """Shows the newest state, if that was not done just now."""
        now = time.perf_counter()
        if now < self._next or self._is_over:
            return
        if step is not None:
            self._known["step"] = step
        is_first = not self._id
        self._show(self._state)
        # The first one imports what draws it, once in the life of the kernel.
        took = 0.0 if is_first else time.perf_counter() - now
        self._next = now + max(_SECONDS, took / _SHARE)

    def end(self, outcome: str, reason: str) -> None:
        """Shows how the run has ended. The cell that goes on gets a badge of its own."""
        if not self._is_over:
            self._is_over = True
            self._show(outcome, reason)

    def pausing(self) -> None:
        """Shows from the next look on that the run pauses as soon as it can. Called by a signal, so nothing is sent here."""
        self._state, self._next = "pausing", 0.0

    def _show(self, state: str, reason: str = "") -> None:
        try:
            self._read()
            cell = getattr(notebook.shell(), "execution_count", None)
            is_new = cell != self._cell and not self._is_over
            if is_new or not self._id:
                # Each cell that trains has one output, however long it trains.
                self._cell, self._id = cell, f"trainstash-{uuid.uuid4().hex[:12]}"
                is_new = True
            self._publish(*_drawn(self._name, state, self._known, self._left(), reason), is_new)
        except Exception:
            self._is_over = True

    def _publish(self, text: str, html: str, is_new: bool) -> None:
        from IPython.display import display

        display({"text/plain": text, "text/html": html}, raw=True, display_id=self._id, update=not is_new)

    def _read(self) -> None:
        """Takes in the events since the last look."""
        events, self._events = self._events, {}
        for kind in ("started", "plan", "metrics", "checkpoint"):
            if kind not in events:
                continue
            fields = json.loads(f"{{{events[kind]}}}")
            step = fields.pop("step", None)
            if kind == "checkpoint":
                self._known["saved"] = step
            elif kind == "started":
                self._known.update(step=step, epoch=fields["epoch"])
            elif kind == "plan":
                self._known.update(total=fields["totalSteps"], per_epoch=fields["stepsPerEpoch"])
            else:
                self._known.update(step=step, epoch=fields["epoch"])
                self._known["metrics"] = {**self._known.get("metrics", {}), **fields["values"]}

    def _left(self) -> Optional[float]:
        """Estimates the seconds that are left, by the steps since the badge was made."""
        step: Optional[int] = self._known.get("step")
        total: Optional[int] = self._known.get("total")
        now = time.monotonic()
        if step is None:
            return None
        if self._first is None:
            self._first = (now, step)
        since, first = self._first
        if total is None or step <= first or now <= since:
            return None
        return max(0.0, float(total - step)) * (now - since) / float(step - first)


def _drawn(name: str, state: str, known: Dict[str, Any], left: Optional[float], reason: str) -> Tuple[str, str]:
    """Draws the text and the HTML."""
    step, total, per_epoch = known.get("step") or 0, known.get("total"), known.get("per_epoch")
    parts: List[str] = [f"step {step:,}{f' of {total:,}' if total else ''}"]
    if per_epoch or known.get("epoch"):
        epochs = round(total / per_epoch) if total and per_epoch else None
        # Counted from 1 here: the one that is trained.
        number = (known.get("epoch") or 0) + 1
        parts.append(f"epoch {min(number, epochs or number):,}{f' of {epochs:,}' if epochs else ''}")
    metrics = known.get("metrics", {})
    parts += [f"{_short(key)} {_shown(value)}" for key, value in list(metrics.items())[-_MOST_METRICS:]]
    if state == "training" and left is not None:
        parts.append(f"{_span(left)} left")
    if state == "paused":
        parts.append("run the cell again to go on")
    if reason:
        parts.append(_short(reason))
    text = f"trainstash: {_short(name)} {state} · {' · '.join(parts)}"
    share = 1.0 if state == "completed" else min(1.0, step / total) if total else None
    colour = _STYLES.get(state, "#6b7280")
    bar = ""
    if share is not None:
        bar = f'<div style="height:4px;margin-top:4px;background:rgba(128,128,128,.3)"><div style="width:{100 * share:.1f}%;height:4px;background:{colour}"></div></div>'
    shown = " · ".join(map(escape, parts))
    html = (
        '<div style="max-width:48em;font-family:sans-serif;font-size:13px">'
        f'<b>{escape(_short(name))}</b> <span style="color:{colour}">{escape(state)}</span> · {shown}{bar}</div>'
    )
    return text, html


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1]}…"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
