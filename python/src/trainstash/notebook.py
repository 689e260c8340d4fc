"""The notebook that this process runs: whether there is one, and which."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any, Dict, List, Optional

#: Names the notebook where nothing else does: for programs that run one by themselves.
NOTEBOOK_VARIABLE = "TRAINSTASH_NOTEBOOK"
#: The name of runs of a notebook that nobody names.
UNKNOWN = "notebook"
_ENDING = ".ipynb"
# Notebooks that are looked through for the cells that ran.
_MOST_FILES = 200
_MOST_BYTES = 20_000_000
_PS_SECONDS = 5.0

_found: Dict[int, Optional[str]] = {}


def shell() -> Any:
    """Returns the shell of a notebook's kernel; None in a script, and in IPython in a terminal."""
    if "ipykernel" not in sys.modules:
        return None
    interactive = getattr(sys.modules.get("IPython"), "get_ipython", None)
    found = interactive() if interactive is not None else None
    return found if getattr(found, "kernel", None) is not None else None


def path() -> Optional[str]:
    """Finds the notebook: what the editor says, else the command line that runs it, else the only one that has these cells."""
    given = os.environ.get(NOTEBOOK_VARIABLE) or getattr(sys.modules.get("__main__"), "__vsc_ipynb_file__", None)
    given = given or os.environ.get("JPY_SESSION_NAME")
    if given:
        return os.path.abspath(str(given))
    interactive = shell()
    if interactive is None:
        return None
    pid = os.getpid()
    if _found.get(pid) is None:
        _found[pid] = _of_parent() or _with_cells(_cells_run(interactive))
    return _found[pid]


def name() -> Optional[str]:
    """Names the runs of this notebook; None: this process runs none."""
    found = path()
    if found is not None:
        return os.path.splitext(os.path.basename(found))[0] or UNKNOWN
    return UNKNOWN if shell() is not None else None


def words() -> Optional[List[str]]:
    """Returns what stands for the command of a kernel, whose own names a file that is gone with it."""
    found = path()
    if found is None and shell() is None:
        return None
    return [sys.executable or "python", _shown(found) if found is not None else UNKNOWN]


def _shown(found: str) -> str:
    with contextlib.suppress(ValueError):
        return os.path.relpath(found)
    return found


def _of_parent() -> Optional[str]:
    """Finds the notebook in the command line of the process that has started the kernel: of papermill the first, which it reads."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    if not parent.isdigit():
        return None
    line = _command_line(int(parent))
    folder = _folder_of(int(parent))
    notebooks = [os.path.join(folder, word) for word in line if word.endswith(_ENDING)]
    return next((os.path.abspath(one) for one in notebooks if os.path.isfile(one)), None)


def _command_line(pid: int) -> List[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0") if word]
    except OSError:
        pass
    if os.name == "nt":
        return []
    try:
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, timeout=_PS_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return []
    return shown.stdout.split()


def _folder_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return os.getcwd()


def _cells_run(interactive: Any) -> List[str]:
    """Lists the texts of the cells that ran in this kernel, and of the one that runs."""
    texts = getattr(interactive, "user_ns", {}).get("In") or []
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def _with_cells(cells: List[str]) -> Optional[str]:
    """Finds the only notebook of the folder that has the cell which runs, and most of those before it. papermill adds a cell of
    parameters, and a copy has the same ones: then nobody knows."""
    if not cells:
        return None
    found: Dict[str, int] = {}
    for one in sorted(_notebooks(os.getcwd()))[:_MOST_FILES]:
        texts = _texts_in(one)
        if cells[-1] in texts:
            found[one] = sum(text in texts for text in cells)
    most = max(found.values(), default=0)
    best = [one for one, number in found.items() if number == most]
    return best[0] if len(best) == 1 else None


def _notebooks(folder: str) -> List[str]:
    try:
        return [os.path.join(folder, one) for one in os.listdir(folder) if one.endswith(_ENDING)]
    except OSError:
        return []


def _texts_in(notebook: str) -> List[str]:
    try:
        if os.path.getsize(notebook) > _MOST_BYTES:
            return []
        with open(notebook, encoding="utf-8") as file:
            cells = json.load(file)["cells"]
        return ["".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
