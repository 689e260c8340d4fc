"""Settings of the process that a loop may change while it trains: a new process begins with the script's first ones."""

from __future__ import annotations

import decimal
import functools
import os
import sys
from typing import Any, Callable, Dict, List

from .array_marks import quietly

_OF_TORCH: Dict[str, Callable[[Any], Any]] = {
    "torch.get_default_dtype()": lambda torch: torch.get_default_dtype(),
    "torch.get_default_device()": lambda torch: str(torch.get_default_device()),
    "torch.get_num_threads()": lambda torch: torch.get_num_threads(),
    "torch.get_float32_matmul_precision()": lambda torch: torch.get_float32_matmul_precision(),
    "torch.are_deterministic_algorithms_enabled()": lambda torch: torch.are_deterministic_algorithms_enabled(),
    "torch.backends.cuda.matmul.allow_tf32": lambda torch: torch.backends.cuda.matmul.allow_tf32,
    "torch.backends.cudnn.allow_tf32": lambda torch: torch.backends.cudnn.allow_tf32,
    "torch.backends.cudnn.benchmark": lambda torch: torch.backends.cudnn.benchmark,
    "torch.backends.cudnn.deterministic": lambda torch: torch.backends.cudnn.deterministic,
    "torch.backends.cudnn.enabled": lambda torch: torch.backends.cudnn.enabled,
    "torch.backends.mkldnn.enabled": lambda torch: torch.backends.mkldnn.enabled,
}


def settings() -> Dict[str, Any]:
    """Returns the settings as they are now, by what a script asks for them with."""
    found: Dict[str, Any] = {
        "os.getcwd()": quietly(os.getcwd),
        "sys.getrecursionlimit()": sys.getrecursionlimit(),
        "decimal.getcontext().prec": decimal.getcontext().prec,
    }
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if numpy is not None:
        found["numpy.geterr()"] = quietly(lambda: tuple(numpy.geterr().values()))
    if torch is not None:
        found.update((name, quietly(functools.partial(ask, torch))) for name, ask in _OF_TORCH.items())
    return found


def changed_settings(before: Dict[str, Any]) -> List[str]:
    return [name for name, value in settings().items() if before.get(name, value) != value]
