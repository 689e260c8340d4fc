"""Calls by which a loop reads what a resume does not put back: files and folders that the loop itself changes, stores on the disk,
other processes, libraries of C. Whether the training depends on such a value is followed in ``process_values``."""

from __future__ import annotations

import ast
import ctypes
import os
import sys
from types import CodeType, ModuleType
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import file_uses
from .code_parts import Part
from .flow import key_of, root_of
from .script import shown_file
from .steadiness import globals_read, names_read

_OPENS = frozenset(["open", "fdopen"])
# Readers of a file whose path is the first argument.
_READERS = frozenset(
    """fromfile loadtxt genfromtxt memmap read_csv read_json read_table read_pickle read_parquet read_excel read_feather imread load_file
    safe_open getsize getmtime getctime stat lstat exists lexists isfile isdir listdir scandir walk glob iglob copyfile copy2 copy""".split()
)
# Methods of paths that read it.
_OF_PATHS = frozenset("read_text read_bytes exists is_file is_dir stat iterdir glob rglob".split())
_FOLDERS = frozenset("listdir scandir walk glob iglob iterdir rglob".split())
_OF_MODULES = frozenset(["np", "numpy", "torch", "joblib", "pd", "pandas"])
_WRITERS = frozenset(
    """write_text write_bytes touch mkdir makedirs save savez savez_compressed savetxt tofile to_csv to_json to_pickle to_parquet save_file
    save_model save_pretrained imwrite savefig rename replace remove unlink copyfile copy copy2 move""".split()
)
_STORES = frozenset(["shelve", "dbm", "lmdb", "h5py", "zarr", "redis", "pymongo", "diskcache", "plyvel"])
_PROCESSES = frozenset("run check_output getoutput getstatusoutput Popen popen call".split())
_NETWORK = frozenset("urlopen recv recvfrom accept create_connection input".split())
_REQUESTS = frozenset(["requests", "httpx", "socket"])
_FILE_NAMES = frozenset([*_OPENS, *_READERS, *_OF_PATHS, "load", "connect"])
#: Names without one of which nothing is read from outside.
NAMES = frozenset([*_FILE_NAMES, *_PROCESSES, *_NETWORK, *_STORES, *_REQUESTS])

_OF_FILES = "reads what the loop itself changes, and a resume finds that as the last process left it"
_OF_STORES = "reads a store on the disk, which a resume finds as the last process left it"
_OF_PROCESSES = "reads what comes from outside of the process, and a resume may read something else"
_OF_C = "calls a library of C, which may keep a state that nobody sees"
_ANY = "*"


class Read(NamedTuple):
    """A call that reads something: its name, why a resume may read something else, and its place."""

    name: str
    why: str
    where: str


def reads_files(code: CodeType) -> bool:
    """Tells whether code may read files or folders, by its names alone."""
    return bool(_FILE_NAMES & names_read(code))


def reads_from_outside(code: CodeType, spaces: Mapping[str, Any]) -> bool:
    """Tells whether code may read something from outside, by its names alone."""
    return bool(NAMES & names_read(code)) or any(isinstance(spaces.get(name), ctypes.CDLL) for name in globals_read(code))


def outside_reads(parts: Iterable[Part]) -> Dict[ast.AST, Read]:
    """Finds the calls of some code whose values a resume may find changed."""
    known = list(parts)
    written = [pattern for part in known for node in part.nodes for pattern in _written(node, part)]
    found: Dict[ast.AST, Read] = {}
    for part in known:
        for node in part.nodes:
            judged = _judge(node, part, written) if isinstance(node, ast.Call) else None
            if judged is not None:
                found[node] = Read(*judged, f"{shown_file(part.code)}:{getattr(node, 'lineno', 0)}")
    # What a call inside of another reads is that one's.
    return {node: read for node, read in found.items() if not any(inner in found for inner in ast.walk(node) if inner is not node)}


def _judge(call: ast.Call, part: Part, written: List[str]) -> Optional[Tuple[str, str]]:
    key = key_of(call.func) or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
    name, root = key.rpartition(".")[2], _real_root(key, part)
    if isinstance(call.func, ast.Attribute) and isinstance(part.spaces.get(root_of(key)), ctypes.CDLL):
        return key, _OF_C
    if (root in _STORES and not _only_reads(call)) or (name == "connect" and root == "sqlite3"):
        return key, _OF_STORES
    if (name in _PROCESSES and root in ("subprocess", "os")) or name in _NETWORK or (root in _REQUESTS and name != root):
        return key, _OF_PROCESSES
    uses, lines = file_uses.uses(), _lines(call, part)
    opened = {path for line in lines for path in uses.read.get(line, ())}
    listed = {path for line in lines for path in uses.listed.get(line, ())}
    if opened & uses.changed or any(_is_inside(path, folder) for folder in listed for path in uses.changed):
        return name or "open", _OF_FILES
    asked = _asked(call, name, root, part)
    if asked is None:
        return None
    pattern, is_folder = asked
    # Paths that were seen are better known than those that the text tells.
    patterns = [*opened, *listed] or [pattern]
    changed = [*uses.changed, *written]
    if any(_may_be_same(one, other) or (is_folder and _may_be_inside(other, one)) for one in patterns for other in changed):
        return name, _OF_FILES
    return None


def _asked(call: ast.Call, name: str, root: str, part: Part) -> Optional[Tuple[str, bool]]:
    """Returns the path that a call reads, as a pattern, and whether it is a folder's; None for another call."""
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
    is_module = receiver is None or root in sys.modules or isinstance(part.spaces.get(root_of(key_of(receiver) or "")), ModuleType)
    if name in _OPENS:
        path, mode = (call.args[:1], call.args[1:2]) if is_module else ([receiver] if receiver is not None else [], call.args[:1])
        mode = mode or [word.value for word in call.keywords if word.arg == "mode"]
        text = mode[0].value if mode and isinstance(mode[0], ast.Constant) else "r" if not mode else "r+"
        return (_pattern(path[0], part), False) if path and ("r" in str(text) or "+" in str(text)) else None
    if not is_module and name in _OF_PATHS and receiver is not None:
        return _pattern(receiver, part), name in _FOLDERS
    if is_module and (name in _READERS or (name == "load" and root in _OF_MODULES)):
        where = _pattern(call.args[0], part) if call.args else os.path.abspath(".") if name in _FOLDERS else _ANY
        return (os.path.dirname(where) if name in ("glob", "iglob") else where), name in _FOLDERS
    return None


def _written(node: ast.AST, part: Part) -> Iterator[str]:
    """Yields the paths that a call changes and that nobody has seen, as patterns."""
    if not isinstance(node, ast.Call) or any(line in file_uses.uses().written for line in _lines(node, part)):
        return
    name = (key_of(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")).rpartition(".")[2]
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    if name in _OPENS:
        modes = [one.value for one in [*node.args[:2], *(word.value for word in node.keywords if word.arg == "mode")] if isinstance(one, ast.Constant)]
        if any(isinstance(mode, str) and len(mode) < 4 and any(sign in mode for sign in "wax+") for mode in modes):
            of_path = receiver is not None and not isinstance(part.spaces.get(root_of(key_of(receiver) or "")), ModuleType)
            yield _pattern(receiver if of_path and receiver is not None else node.args[0], part)
    elif name in _WRITERS:
        yield from (_pattern(one, part) for one in [*([receiver] if receiver is not None else []), *node.args[:2]] if _is_path(one, part))


def _is_path(node: ast.expr, part: Part) -> bool:
    """Tells expressions that may be a path: no module, no network, no number."""
    if isinstance(node, (ast.JoinedStr, ast.BinOp)):
        return True
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.Call):
        return (key_of(node.func) or "").rpartition(".")[2] in ("join", "Path", "PurePath", "str", "format")
    key = key_of(node)
    value = _value(key, part) if key else None
    return isinstance(value, (str, os.PathLike)) or (isinstance(node, ast.Name) and node.id in part.unknown)


def _pattern(node: ast.expr, part: Part) -> str:
    """Returns the path that an expression gives, with ``*`` for what is not known."""
    text = _text(node, part)
    return text if text.startswith(_ANY) else os.path.normpath(os.path.join(os.getcwd(), text))


def _text(node: ast.expr, part: Part) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
        return os.fsdecode(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(one, part) for one in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Add)):
        between = os.sep if isinstance(node.op, ast.Div) else ""
        return f"{_text(node.left, part)}{between}{_text(node.right, part)}"
    if isinstance(node, ast.Call):
        name = (key_of(node.func) or "").rpartition(".")[2]
        if name in ("join", "Path", "PurePath", "str", "abspath", "fspath") and node.args:
            return os.sep.join(_text(one, part) for one in node.args)
        return _ANY
    key = key_of(node)
    value = _value(key, part) if key else None
    return os.fspath(value) if isinstance(value, (str, os.PathLike)) else _ANY


def _value(key: str, part: Part) -> Any:
    if root_of(key) in part.unknown:
        return None
    root, _, rest = key.partition(".")
    value = part.spaces.get(root)
    for name in filter(None, rest.split(".")):
        value = getattr(value, "__dict__", {}).get(name)
    return value


def _may_be_same(one: str, other: str) -> bool:
    (begin, _, end), (first, _, last) = _ends(one), _ends(other)
    if _ANY not in one and _ANY not in other:
        return one == other
    return (begin.startswith(first) or first.startswith(begin)) and (end.endswith(last) or last.endswith(end))


def _ends(pattern: str) -> Tuple[str, str, str]:
    begin, any_, _ = pattern.partition(_ANY)
    return begin, any_, pattern.rpartition(_ANY)[2] if any_ else pattern


def _may_be_inside(path: str, folder: str) -> bool:
    begin = folder.partition(_ANY)[0]
    return path.startswith((begin.rstrip(os.sep) + os.sep, _ANY)) or folder.startswith(_ANY)


def _is_inside(path: str, folder: str) -> bool:
    return os.path.dirname(path) == folder


def _only_reads(call: ast.Call) -> bool:
    given = [*call.args[1:], *(word.value for word in call.keywords if word.arg in ("flag", "mode", "readonly"))]
    return any(isinstance(one, ast.Constant) and one.value in ("r", True) for one in given)


def _real_root(key: str, part: Part) -> str:
    """Returns the package that a call belongs to, by whatever name the script has it."""
    root = root_of(key)
    value = part.spaces.get(root) if root not in part.unknown else None
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return str(module or root).partition(".")[0]


def _lines(call: ast.Call, part: Part) -> List[file_uses.Line]:
    return [(part.code.co_filename, line) for line in range(call.lineno, (call.end_lineno or call.lineno) + 1)]
