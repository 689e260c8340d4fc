"""A sum over a state that is about to be written: equal states have equal ones."""

from __future__ import annotations

import hashlib
from typing import Any, Dict

from .ptfile import QuantizedView, Rebuilt, TensorView


def sum_of(state: Any) -> str:
    """Sums values and tensors, whatever storages those share.

    Args:
        state: The state that ``codec.Walk`` has planned, with the bytes of its storages.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=32)
    _Sum(digest).add(state)
    return digest.hexdigest()


class _Sum:
    def __init__(self, digest: Any) -> None:
        self._digest = digest
        self._storages: Dict[int, bytes] = {}

    def add(self, value: Any) -> None:
        if isinstance(value, TensorView):
            self._text(f"tensor {value.dtype} {value.offset} {value.size} {value.stride}")
            self._digest.update(self._storage(value.storage))
        elif isinstance(value, QuantizedView):
            self.add(value.view)
            self.add(value.quantizer)
        elif isinstance(value, Rebuilt):
            self._text(value.function)
            self.add(value.arguments)
        elif isinstance(value, dict):
            self._text(f"dict {len(value)}")
            for key in sorted(value, key=repr):
                self._text(repr(key))
                self.add(value[key])
        elif isinstance(value, (list, tuple)):
            self._text(f"list {len(value)}")
            for item in value:
                self.add(item)
        else:
            self._text(f"{type(value).__name__} {value!r}")

    def _text(self, text: str) -> None:
        self._digest.update(f"{len(text)} {text}".encode())

    def _storage(self, storage: Any) -> bytes:
        known = self._storages.get(id(storage))
        if known is None:
            known = hashlib.blake2b(memoryview(storage.bytes.numpy()), digest_size=32).digest()
            self._storages[id(storage)] = known
        return known
