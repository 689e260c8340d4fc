"""Attributes that a script puts on modules of libraries, and on their classes and functions: a resume imports these anew."""

from __future__ import annotations

import collections
import sys
from types import FunctionType, ModuleType
from typing import Any, Collection, Iterator, Optional, Tuple

from .object_marks import PLAIN
from .own_attributes import attributes_of, is_users_class
from .script import is_users

_HELD = (*PLAIN, list, dict, set, tuple, collections.deque)
_DEEPEST = 3
# Importing a module changes these, and they have no part in a training.
_OF_IMPORTS = frozenset(["modules", "path_importer_cache"])

#: A place by its name, an attribute there, and its value; without an attribute: the place was looked at.
Attribute = Tuple[str, Optional[str], Any]


def attributes_of_library(name: str, module: ModuleType, read: Collection[str], depth: int = 0) -> Iterator[Attribute]:
    """Yields the attributes of a library's module that code reads and that a script may have set, and those of the modules, classes and
    functions that it reads there.

    Args:
        name: The name that the code has for the module.
        module: The module.
        read: The names that the code reads.
        depth: How far this module is from one that the code names.
    """
    yield name, None, None
    attributes = vars(module)
    for key in sorted(read):
        item = attributes.get(key, module)
        if item is module or (module is sys and key in _OF_IMPORTS):
            continue
        if isinstance(item, ModuleType):
            # Modules import others by their names as well: each is looked at where it belongs.
            is_inside = item.__name__ == f"{module.__name__}.{key}"
            if is_inside and depth < _DEEPEST and not is_users(getattr(item, "__file__", None) or ""):
                yield from attributes_of_library(f"{name}.{key}", item, read, depth + 1)
        elif isinstance(item, _HELD) or is_of_script(item):
            yield name, key, item
        elif callable(item):
            yield f"{name}.{key}", None, None
            own = vars(item) if isinstance(item, type) else attributes_of(item)
            yield from ((f"{name}.{key}", one, own[one]) for one in read if one in own and (isinstance(own[one], _HELD) or is_of_script(own[one])))


def is_of_script(value: Any) -> bool:
    """Tells functions, classes and objects that the script made."""
    if isinstance(value, FunctionType):
        return is_users(value.__code__.co_filename)
    return is_users_class(value if isinstance(value, type) else type(value))
