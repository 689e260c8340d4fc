"""Calls in code that give another value in each process: entropy of the system, generators without a seed, clocks, hashes of texts."""

from __future__ import annotations

import dis
import functools
from types import CodeType, ModuleType
from typing import Any, Dict, FrozenSet, Iterable, Iterator, Mapping, Optional, Set, Tuple

from .flow import MUTATORS

#: Names that draw from the operating system, whatever they belong to.
_ENTROPY = frozenset("urandom getrandom SystemRandom uuid1 uuid4 token_bytes token_hex token_urlsafe randbelow randbits".split())
# Functions that take what the operating system draws, when they are called without a seed.
_SEEDED = frozenset("default_rng RandomState Random SeedSequence seed".split())
_CLOCKS = frozenset("time time_ns monotonic monotonic_ns perf_counter perf_counter_ns now today".split())
_NO_ARGUMENTS = frozenset("PUSH_NULL PRECALL CACHE EXTENDED_ARG COPY_FREE_VARS".split())


def code_and_inner(code: CodeType) -> Iterator[CodeType]:
    """Yields code with that of the functions and comprehensions inside of it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from code_and_inner(inner)


@functools.lru_cache(maxsize=4096)
def names_read(code: CodeType) -> FrozenSet[str]:
    """Lists the attributes and names that code loads."""
    return frozenset(str(one.argval) for part in code_and_inner(code) for one in dis.get_instructions(part) if one.opname.startswith("LOAD_"))


@functools.lru_cache(maxsize=4096)
def globals_read(code: CodeType) -> FrozenSet[str]:
    """Lists the names outside of all functions that code loads."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME")
    return frozenset(str(one.argval) for part in code_and_inner(code) for one in dis.get_instructions(part) if one.opname.startswith(loads))


@functools.lru_cache(maxsize=4096)
def makes_sets(code: CodeType) -> bool:
    """Tells whether code makes sets by their own signs, and not by a call."""
    return any(one.opname in ("BUILD_SET", "SET_ADD", "SET_UPDATE") for part in code_and_inner(code) for one in dis.get_instructions(part))


@functools.lru_cache(maxsize=4096)
def changes_outside(code: CodeType) -> bool:
    """Tells whether code without a readable text may change what outlives its call: it sets attributes, items or names of others, or calls
    a method that changes a container."""
    loaded = names_read(code) & MUTATORS
    stores = ("STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL", "DELETE_ATTR", "DELETE_SUBSCR")
    free = set(code.co_freevars)
    return bool(loaded) or any(
        one.opname in stores or (one.opname == "STORE_DEREF" and one.argval in free) for part in code_and_inner(code) for one in dis.get_instructions(part)
    )


@functools.lru_cache(maxsize=4096)
def imports_in(code: CodeType) -> Tuple[str, ...]:
    """Lists the packages that code imports when it runs."""
    found = [str(one.argval).partition(".")[0] for part in code_and_inner(code) for one in dis.get_instructions(part) if one.opname == "IMPORT_NAME"]
    return tuple(dict.fromkeys(filter(None, found)))


def entropy_in(code: CodeType, spaces: Mapping[str, Any], lines: Optional[Iterable[int]] = None, clocks: bool = False) -> Optional[Tuple[str, int]]:
    """Finds the first call that gives another value in each process, and its line.

    Args:
        code: What is looked at, with the functions inside of it.
        spaces: The values of its global names.
        lines: The lines that count; None: all.
        clocks: Clocks and the number of the process count as well. In a loop they are mostly shown.
    """
    wanted = set(lines) if lines is not None else None
    values = (spaces.get(name) for name in sorted(globals_read(code)))
    # Numbers and the like have no part in it, and are others in each round.
    key = (code, min(wanted or [0]), max(wanted or [0]), clocks, tuple(id(one) if callable(one) or isinstance(one, ModuleType) else 0 for one in values))
    if key not in _found:
        _found[key] = _first_call(code, spaces, wanted, clocks)
    return _found[key]


def _first_call(code: CodeType, spaces: Mapping[str, Any], wanted: Optional[Set[int]], clocks: bool) -> Optional[Tuple[str, int]]:
    for part in code_and_inner(code):
        line = part.co_firstlineno
        instructions = list(dis.get_instructions(part))
        for i, one in enumerate(instructions):
            if one.starts_line is not None and one.starts_line is not True and one.starts_line is not False:
                line = int(one.starts_line)
            line = int(getattr(one, "line_number", None) or line)
            if wanted is not None and line not in wanted:
                continue
            if not one.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_METHOD")):
                continue
            name = str(one.argval)
            if _is_unsteady(name, one, instructions[i + 1 :], instructions[i - 1] if i else None, spaces, clocks):
                return name, line
    return None


def _is_unsteady(name: str, one: dis.Instruction, rest: Any, before: Any, spaces: Mapping[str, Any], clocks: bool) -> bool:
    is_global = one.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME"))
    value = spaces.get(name) if is_global else _attribute_of(before, name, spaces)
    if name in _ENTROPY or (clocks and name == "getpid"):
        return True
    if name in _SEEDED:
        own = getattr(value, "__module__", None) or ""
        return _is_called_without(rest) and (value is None or own.startswith(("random", "numpy", "torch")))
    if is_global and name == "hash":
        return name not in spaces
    real = getattr(value, "__name__", "")
    module = getattr(value, "__module__", None)
    if module == "torch.random" and real == "seed":
        return True
    if module in ("secrets", "uuid") or (real in _ENTROPY and module in ("posix", "nt")):
        return True
    return clocks and real in _CLOCKS and (module == "time" or "datetime" in repr(getattr(value, "__self__", "")))


def _attribute_of(before: Any, name: str, spaces: Mapping[str, Any]) -> Any:
    owner = spaces.get(str(before.argval)) if before is not None and before.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME")) else None
    return getattr(owner, name, None) if isinstance(owner, (ModuleType, type)) else None


def _is_called_without(following: Any) -> bool:
    for one in following:
        if one.opname in _NO_ARGUMENTS:
            continue
        return one.opname.startswith("CALL") and not one.opname.startswith("CALL_INTRINSIC") and (one.arg or 0) == 0
    return False


# What was found, by the code and the functions and modules that it names.
_found: Dict[Any, Optional[Tuple[str, int]]] = {}
