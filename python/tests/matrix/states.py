"""Final states, compared to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

# Places in a checkpoint's own part that tell of its past, which a resumed run has and an undisturbed one has not.
_HISTORY = (".trainstash.went_without", ".trainstash.detours")


def flat_state(path: Path) -> Dict[str, Any]:
    from trainstash import ptread

    found = dict(_flat(ptread.read(str(path))))
    return {key: value for key, value in found.items() if not key.startswith(_HISTORY)}


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> List[str]:
    """Keys whose values are not the same to the bit."""
    return [key for key in {**a, **b} if key not in a or key not in b or not is_same(a[key], b[key])]


def is_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if hasattr(a, "dtype") and hasattr(a, "shape"):
        return bool(a.dtype == b.dtype and tuple(a.shape) == tuple(b.shape) and _bytes(a) == _bytes(b))
    return bool(a == b) or repr(a) == repr(b)


def _bytes(value: Any) -> bytes:
    if hasattr(value, "untyped_storage"):
        import torch

        value = value.detach().contiguous().reshape(-1)
        return value.view(torch.uint8).numpy().tobytes() if value.numel() else b""
    return bytes(value.tobytes())


def _flat(value: Any, at: str = "") -> Iterator[Tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{at}.{key}")
    elif isinstance(value, (list, tuple)):
        yield f"{at}#", len(value)
        for i, item in enumerate(value):
            yield from _flat(item, f"{at}[{i}]")
    else:
        yield at, value
