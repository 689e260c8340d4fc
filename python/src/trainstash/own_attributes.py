"""Attributes of objects and classes, looked at without running any code of theirs."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any, Iterator, List, Mapping, Optional, Tuple

from .script import is_users


def has(value: Any, name: str) -> bool:
    """Tells whether a value has an attribute, and never runs the ``__getattr__`` of a user's class."""
    cls: type = type(value)
    return _class_has(cls, name) or name in attributes_of(value)


@functools.lru_cache(maxsize=4096)
def _class_has(cls: type, name: str) -> bool:
    return any(name in vars(one) for one in cls.__mro__)


def attributes_of(value: Any) -> Mapping[str, Any]:
    """Returns the attributes that an object has of its own."""
    try:
        # Each thread has its own attributes of one of these.
        attributes = threading.local.__getattribute__(value, "__dict__") if isinstance(value, threading.local) else object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return attributes if isinstance(attributes, dict) else {}


def filled(value: Any, slots: List[str]) -> Iterator[Tuple[str, Any]]:
    """Yields the slots that have a value."""
    for slot in slots:
        try:
            yield slot, object.__getattribute__(value, slot)
        except AttributeError:
            continue


def slots_of(cls: type) -> Tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return tuple(slot for slot in ((slots,) if isinstance(slots, str) else slots) if slot not in ("__dict__", "__weakref__"))


def is_users_class(cls: type) -> bool:
    """Tells whether the script made a class, and no installed package."""
    return _is_users_class(cls)


@functools.lru_cache(maxsize=1024)
def _is_users_class(cls: Any) -> bool:
    if cls.__module__ == "__main__":
        return True
    path: Optional[str] = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return cls.__module__ != "builtins" and path is not None and is_users(path) and not cls.__module__.startswith("trainstash")
