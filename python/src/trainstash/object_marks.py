"""Marks of single objects, which are other ones once the objects have changed: generators, containers, iterators, connections."""

from __future__ import annotations

import collections
import random
import warnings
from typing import Any

from . import rng
from .array_marks import is_array, mark_of_array, quietly
from .own_attributes import has
from .script import is_ours

PLAIN = (int, float, complex, str, bytes, bytearray, bool, range, type(None))
SEQUENCES = (list, tuple, collections.deque)
_BYTES = 1 << 16


def mark_of(value: Any) -> Any:
    """Returns a mark that is another one once the value itself has changed; None for one that consists of others."""
    if isinstance(value, random.SystemRandom):
        return object()
    if rng.is_generator(value):
        return quietly(lambda: rng.fingerprint_of(value))
    if is_array(value):
        return mark_of_array(value)
    if isinstance(value, (*SEQUENCES, dict)):
        return len(value)
    if isinstance(value, (set, frozenset)):
        return len(value)
    if has(value, "random_raw") or type(value).__name__ == "array":
        return quietly(lambda: repr(value.state if has(value, "random_raw") else value.tobytes()))
    if type(value).__name__ == "ContextVar":
        return quietly(lambda: repr(value.get(None)))
    if type(value).__name__ == "Connection" and has(value, "total_changes"):
        return value.total_changes
    if has(value, "gi_frame"):
        return value.gi_frame.f_lasti if value.gi_frame is not None and not is_ours(value.gi_code) else -1
    if has(value, "_num_yielded"):
        return value._num_yielded
    if has(value, "__next__") and type(value).__module__ in ("itertools", "builtins"):
        return _of_iterator(value)
    if has(value, "tell") and has(value, "readable"):
        return quietly(lambda: value.tell() if value.readable() else None)
    return None


def _of_iterator(value: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reduced = quietly(lambda: value.__reduce__())
    if not isinstance(reduced, tuple):
        return repr(value)
    plain = [tuple(map(_named, one)) if isinstance(one, tuple) else _named(one) for one in reduced[1:]]
    # A cycle says how far it is by the iterator that it reads.
    inner = reduced[1][0] if isinstance(reduced[1], tuple) and reduced[1] and hasattr(reduced[1][0], "__reduce__") else None
    place = _of_iterator(inner) if inner is not None and hasattr(inner, "__next__") else None
    return (hash(repr(plain)[:_BYTES]), place)


def _named(value: Any) -> Any:
    """Returns a plain value as it is, and the class of any other: its own text may have an address."""
    return value if isinstance(value, PLAIN) else type(value).__name__ if hasattr(value, "__next__") else repr(value)[:_BYTES]
