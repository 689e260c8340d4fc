"""Paddle's random generators: their states as plain values, and in again. Nothing here imports Paddle by itself."""

from __future__ import annotations

import hashlib
import sys
from typing import Any, Dict, List, Optional

#: The states of each device's generators: numbers, and the bytes of the engine.
States = Dict[str, List[List[Any]]]


def paddle_module() -> Any:
    """Returns Paddle, if the script has imported all of it."""
    paddle = sys.modules.get("paddle")
    return paddle if paddle is not None and hasattr(paddle, "get_rng_state") and hasattr(paddle, "base") else None


def capture() -> Optional[States]:
    """Captures the states of the generators of every device; None without Paddle."""
    paddle = paddle_module()
    if paddle is None:
        return None
    return {device: [_apart(state) for state in paddle.get_rng_state(device)] for device in _devices(paddle)}


def restore(states: States) -> None:
    """Puts back what ``capture`` gave. Raises RuntimeError when there are other devices now."""
    paddle = paddle_module()
    if paddle is None:
        raise RuntimeError("Paddle is not imported")
    now = _devices(paddle)
    for device, saved in states.items():
        if device not in now:
            raise RuntimeError(f"there is no {device} here")
        kind = type(paddle.get_rng_state("cpu")[0])
        paddle.set_rng_state([_together(kind, one) for one in saved], device)
    missing = [device for device in now if device not in states]
    if missing:
        raise RuntimeError(f"the checkpoint was taken without {' and '.join(missing)}")


def cpu_state() -> Any:
    """Returns the state of the CPU's generator, for putting back in the same process."""
    paddle = paddle_module()
    return paddle.get_rng_state("cpu") if paddle is not None else None


def set_cpu_state(state: Any) -> None:
    """Puts back what ``cpu_state`` gave."""
    paddle = paddle_module()
    if paddle is not None and state is not None:
        paddle.set_rng_state(state, "cpu")


def seed_cpu(seed: int) -> None:
    """Seeds the CPU's generator alone."""
    paddle = paddle_module()
    if paddle is not None:
        paddle.base.core.default_cpu_generator().manual_seed(seed)


def fingerprint(state: Any) -> str:
    """Returns a short text that differs when the generator of ``cpu_state`` has drawn another number."""
    return hashlib.blake2b(repr([_apart(one) for one in state]).encode(), digest_size=8).hexdigest()


def _devices(paddle: Any) -> List[str]:
    devices = ["cpu"]
    if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0:
        devices.append("gpu")
    if paddle.is_compiled_with_xpu() and paddle.base.core.get_xpu_device_count() > 0:
        devices.append("xpu")
    # Devices of plugins, such as "npu:0".
    current = str(paddle.device.get_device()).partition(":")[0]
    return devices if current in devices else [*devices, current]


def _apart(state: Any) -> List[Any]:
    """Takes apart what the state pickles: numbers, and the engine as a list of characters."""
    return [bytes(part) if isinstance(part, list) else part for part in state.__getstate__()]


def _together(kind: Any, parts: List[Any]) -> Any:
    state = kind.__new__(kind)
    state.__setstate__(tuple(list(part) if isinstance(part, bytes) else part for part in parts))
    return state
