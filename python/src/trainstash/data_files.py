"""Files that a data set reads and that the training itself changes: a resume reads what the last process left there."""

from __future__ import annotations

import dis
import os
from types import CodeType, FunctionType
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Set

from . import file_uses
from .outside_reads import reads_files
from .own_attributes import attributes_of
from .script import shown_file
from .steadiness import names_read

#: Number of elements of a list of paths that are compared.
_MOST_PATHS = 10_000
_LISTS = frozenset("listdir scandir walk glob iglob iterdir rglob".split())


def watch_readers(functions: Sequence[FunctionType]) -> None:
    """Begins to note what the script's lines open and change, if functions of its data set read files."""
    if any(reads_files(one.__code__) for one in functions):
        file_uses.watch()


def changed_and_read(functions: Sequence[FunctionType], parts: Mapping[str, Any]) -> Optional[str]:
    """Names the place of a read of files that the training has changed since the first pass began.

    Args:
        functions: What the data set, the collator and the samplers run. Files that these write themselves are caches: they hold the same
            again.
        parts: These objects. Reads of other processes and of libraries of C are not seen: for them the paths that the objects have are
            compared.
    """
    uses = file_uses.uses()
    own = {line for one in functions for line in _lines_of(one.__code__)}
    changed: Set[str] = set().union(*(paths for line, paths in uses.written.items() if line not in own))
    readers = [one.__code__ for one in functions if reads_files(one.__code__)] if changed else []
    for code in readers:
        for line in _lines_of(code):
            if uses.read.get(line, set()) & changed or _has_one_of(uses.listed.get(line, set()), changed):
                return f"{shown_file(code)}:{line[1]}"
    if readers:
        paths = {path for value in parts.values() for path in _paths_of(value)}
        lists = any(_LISTS & names_read(code) for code in readers)
        if paths & changed or (lists and _has_one_of(paths, changed)):
            return f"{shown_file(readers[0])}:{readers[0].co_firstlineno}"
    return None


def _has_one_of(folders: Set[str], changed: Set[str]) -> bool:
    return any(os.path.dirname(path) in folders for path in changed)


def _lines_of(code: CodeType) -> Iterator[file_uses.Line]:
    pending: List[CodeType] = [code]
    while pending:
        current = pending.pop()
        yield from ((current.co_filename, line) for _, line in dis.findlinestarts(current) if line is not None)
        pending += [inside for inside in current.co_consts if isinstance(inside, CodeType)]


def _paths_of(part: Any) -> Iterator[str]:
    """Yields the paths that an object has as attributes, or in lists of them."""
    for value in attributes_of(part).values():
        several: List[Any] = list(value[:_MOST_PATHS]) if isinstance(value, (list, tuple)) else [value]
        yield from (os.path.abspath(os.fsdecode(one)) for one in several if isinstance(one, (str, os.PathLike)) and one)
