"""The numbers that metrics are made of: read from whatever a script has, as JSON can hold them, and which can be the best.

The same rules as ``protocol/numbers.ts`` has for the other side; ``test/fixtures/numbers.json`` tests both."""

from __future__ import annotations

import json
import math
from typing import Any, Callable, Dict, List, Mapping, Optional


def as_number(value: Any) -> Optional[float]:
    """Makes a double of a number of Python, NumPy, torch or another library. None: it is none, or asking it raises."""
    try:
        if hasattr(value, "item"):
            # NumPy's item() gives the number under a mask, as if it counted.
            value = math.nan if _is_masked(value) else value.item()
        return float(value)
    except OverflowError:
        return _infinity_like(value)
    except Exception:
        # A tensor of several elements, a deferred one, an object that raises: it belongs to the user.
        return None


def wire_number(value: float) -> Any:
    """Makes a text of what JSON has no word for. -0.0 is a number here: Python writes its sign, and JavaScript reads it."""
    if value - value == 0:
        return value
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def from_wire(value: Any) -> float:
    """Reads a number; None counts as NaN, since JSON made that of it before there were texts."""
    return math.nan if value is None else float(value)


def plain_metrics(metrics: Mapping[str, Any]) -> Dict[str, Any]:
    """Makes metrics that JSON can hold, without those that are no numbers."""
    numbers = {name: as_number(value) for name, value in metrics.items()}
    return {name: wire_number(number) for name, number in numbers.items() if number is not None}


def dumps(value: Any) -> str:
    """Writes JSON that every reader takes: numbers that it has no word for are texts, wherever they stand."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def is_better(monitor: Mapping[str, str], value: float, best: Optional[float]) -> bool:
    """Tells whether a value is better than the best so far. Only finite values can be, in either direction: see ``isBetter`` in
    ``protocol/numbers.ts``."""
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best if monitor["mode"] == "min" else value > best


def watched_metrics(monitor: Optional[Mapping[str, str]]) -> List[str]:
    """Lists the metrics that are watched for values that are not finite."""
    return ["loss", monitor["metric"]] if monitor and monitor["metric"] != "loss" else ["loss"]


def alarming_metric(monitor: Optional[Mapping[str, str]], newest: Callable[[str], Any]) -> Optional[str]:
    """Finds the watched metric whose newest value is not finite. ``newest`` gives a metric's value, or raises KeyError."""
    return next((metric for metric in watched_metrics(monitor) if _is_alarming(metric, newest)), None)


def has_diverged(monitor: Optional[Mapping[str, str]], newest: Callable[[str], Any]) -> bool:
    """Tells whether the state behind these metrics is taken for diverged: see ``hasDiverged`` in ``protocol/numbers.ts``."""
    try:
        newest("loss")
        decides = "loss"
    except KeyError:
        decides = monitor["metric"] if monitor else "loss"
    return _is_alarming(decides, newest)


def _is_alarming(metric: str, newest: Callable[[str], Any]) -> bool:
    try:
        return not math.isfinite(from_wire(newest(metric)))
    except KeyError:
        return False


def _is_masked(value: Any) -> bool:
    masked = getattr(value, "mask", None) if type(value).__module__.startswith("numpy.ma") else None
    return masked is not None and value.size == 1 and bool(masked.all())


def _infinity_like(value: Any) -> Optional[float]:
    try:
        return math.inf if value > 0 else -math.inf
    except Exception:
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, (float, int)):
        return value
    number = as_number(value)
    # An integer that no double can hold is as large as infinity to every reader.
    return value if number is not None and math.isfinite(number) else wire_number(math.nan if number is None else number)
