"""The logs that Paddle gives to callbacks."""

from __future__ import annotations

from typing import Any, Dict, Mapping

#: Entries that are no metrics.
_NO_METRICS = ("step", "batch_size", "steps", "metrics")


def numbers_in(logs: Any) -> Dict[str, Any]:
    """Reads the metrics in logs: Paddle gives each as a list of one."""
    logs = {name: value for name, value in (logs or {}).items() if name not in _NO_METRICS}
    return {name: value[0] if isinstance(value, (list, tuple)) and value else value for name, value in logs.items()}


def plain_logs(logs: Mapping[str, Any]) -> Dict[str, Any]:
    """Picks what a checkpoint can hold."""
    kinds = (int, float, str, list, tuple)
    return {name: value for name, value in logs.items() if isinstance(value, kinds) or type(value).__module__ == "numpy"}
