"""Tells local file systems from network ones, across which the locks of databases do not hold. The daemon judges by the same list."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Optional

from .shared import rules

# More than `struct statfs` takes anywhere; its type comes first.
_STATFS_BYTES = 512


def network_file_system(path: str) -> Optional[str]:
    """Names the network or pass-through file system of a path, or of the nearest folder above it that exists; None for a local one,
    and where that cannot be known."""
    if sys.platform != "linux":
        return None
    path = os.path.abspath(path)
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    facts = ctypes.create_string_buffer(_STATFS_BYTES)
    try:
        if ctypes.CDLL(None).statfs(os.fsencode(path), facts) != 0:
            return None
    except (OSError, AttributeError):
        return None
    # The kernel's types have 32 bits, and a machine may extend the sign of one.
    number = int.from_bytes(facts.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF
    return next((str(name) for kind, name in rules("network-file-systems").get("types", {}).items() if int(kind, 16) == number), None)
