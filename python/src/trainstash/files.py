"""Files of checkpoints: copied where a framework may write into them again, linked where they are ours."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Dict, List, Sequence

# `FICLONE` of Linux: the copy shares its blocks until one of the two is written to.
_CLONE = 0x40049409


def copy_file(source: str, target: str) -> None:
    """Copies a file that somebody may write into later. On file systems that can, the copy costs no space and no time."""
    with open(source, "rb") as read, open(target, "wb") as written:
        if not _clone(read.fileno(), written.fileno()):
            shutil.copyfileobj(read, written, 16 << 20)


def copy_tree(source: str, target: str) -> None:
    """Copies a folder of such files. Links in it are followed."""
    for folder, _, names in os.walk(source):
        inside = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(inside, exist_ok=True)
        for name in names:
            copy_file(os.path.join(folder, name), os.path.join(inside, name))


def link_tree(source: str, target: str, left_out: Sequence[str] = ()) -> None:
    """Links a folder of files that nobody writes into again: those that this package has written. Copies where links cannot be had.

    Args:
        source: The folder.
        target: The folder that is to be like it.
        left_out: Names of files and folders in ``source`` itself that are left out.
    """
    for folder, folders, names in os.walk(source):
        if folder == source:
            folders[:] = [name for name in folders if name not in left_out]
            names = [name for name in names if name not in left_out]
        inside = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(inside, exist_ok=True)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(inside, name))  # A leftover of an earlier try.
            try:
                os.link(os.path.join(folder, name), os.path.join(inside, name))
            except OSError:
                copy_file(os.path.join(folder, name), os.path.join(inside, name))


def listed(folder: str) -> List[Dict[str, Any]]:
    """Lists a checkpoint's files as ``checkpoint.json`` names them, in a fixed order, when the disk has them."""
    found: List[Dict[str, Any]] = []
    for inside, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inside, name)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            relative = os.path.relpath(path, folder).replace(os.sep, "/")
            found.append({"name": relative, "bytes": os.path.getsize(path)})
    return sorted(found, key=lambda entry: str(entry["name"]))


def _clone(source: int, target: int) -> bool:
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.ioctl(target, _CLONE, source)
        return True
    return False
