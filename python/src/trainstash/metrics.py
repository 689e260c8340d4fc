"""The metrics that a script logs: numbers at once, values on a device when they have come far enough by themselves."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .media import Media
from .numbers import as_number, plain_metrics, wire_number
from .session import Session
from .waits import Waits
from .watch import Watch


class Metrics:
    """The metrics of a launch. Nothing that a script hands over as one can end its training."""

    def __init__(self, session: Optional[Session], watch: Watch, is_replay: bool = False) -> None:
        self._session = session
        self._media = Media(None if is_replay else session)
        self._watch = watch
        self.waits = Waits(session.file("waits.ndjson") if session else None)
        #: The newest value of each.
        self.newest: Dict[str, float] = {}
        self._late: List[Tuple[int, int, str, Any]] = []

    def log(self, step: int, epoch: int, metrics: Mapping[str, Any]) -> Dict[str, float]:
        """Returns the values that are known already."""
        session = self._session
        if session is None:
            return {}
        values: Dict[str, float] = {}
        parts = []
        for name, value in metrics.items():
            kind = type(value)
            if kind is not float:
                if _is_on_device(value):
                    # Read when the device has come that far: a training must not wait for its numbers.
                    self._late.append((step, epoch, name, value.detach().clone()))
                    continue
                if self._media.take(step, name, value):
                    continue
                number = as_number(value)
                if number is None:
                    session.once(f"metric {name}", f"the metric {name} is no number ({kind.__name__}) and is left out")
                    continue
                value = number
            values[name] = value
            # repr is the shortest text that gives the same bits back.
            shown = repr(value) if value - value == 0 else f'"{wire_number(value)}"'
            parts.append(f'"{_key(name)}":{shown}')
        if parts:
            session.emit("metrics", f'"step":{step},"epoch":{epoch},"values":{{{",".join(parts)}}}')
            self.newest.update(values)
            self._watch.look(session, step, values)
        if self._late and self._late[0][0] < step - 1:
            self.read_late()
        return values

    def read_late(self) -> Dict[str, float]:
        """Reads what is still on a device; waits for it. Returns the newest of each."""
        late, self._late = self._late, []
        by_step: Dict[Tuple[int, int], Dict[str, float]] = {}
        for step, epoch, name, value in late:
            number = as_number(value)
            if number is not None:
                by_step.setdefault((step, epoch), {})[name] = number
            elif self._session is not None:
                self._session.once(f"metric {name}", f"the metric {name} is no number and is left out")
        read: Dict[str, float] = {}
        for (step, epoch), values in by_step.items():
            read.update(values)
            if self._session is not None:
                self._session.event("metrics", step=step, epoch=epoch, values=plain_metrics(values))
                self._watch.look(self._session, step, values)
        self.newest.update(read)
        return read


def _is_on_device(value: Any) -> bool:
    try:
        device = value.device.type
        return device not in ("cpu", "meta") and value.numel() == 1
    except Exception:
        return False


_keys: Dict[str, str] = {}


def _key(name: str) -> str:
    """Writes the name as JSON wants it, without the quotes."""
    known = _keys.get(name)
    if known is None:
        known = _keys[name] = json.dumps(name)[1:-1]
    return known
