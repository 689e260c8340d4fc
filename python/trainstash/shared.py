"""What this package and the daemon must judge alike: patterns of secrets, packages whose versions count, and characters
that a terminal obeys. One file for both, which lies in this folder once the package is built."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict

_HERE = os.path.dirname(os.path.abspath(__file__))
_PLACES = (os.path.join(_HERE, "shared.json"), os.path.join(_HERE, "..", "..", "protocol", "shared.json"))


def _load() -> Dict[str, Any]:
    for path in _PLACES:
        try:
            with open(path, encoding="utf-8") as file:
                return dict(json.load(file))
        except (OSError, ValueError):
            continue
    # A broken installation must not end a training; whoever needs the rules says what is done without them.
    return {}


SHARED = _load()
PACKAGES = tuple(str(name) for name in SHARED.get("packages", ()))
_UNPRINTABLE = re.compile(str(SHARED.get("unprintable", {}).get("characters", "[\\x00-\\x1f\\x7f-\\x9f]")))


def printable(text: str) -> str:
    """Returns the text with everything visible that a terminal would obey: names of files and branches may hold it."""
    return _UNPRINTABLE.sub("\ufffd", text)
