"""Lists by which this package and the daemon judge alike: patterns of secrets, packages whose versions count, and
characters that a terminal obeys. Both read the same files, which lie in this folder once the package is built."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict

_HERE = os.path.dirname(os.path.abspath(__file__))
_PLACES = (os.path.join(_HERE, "rules"), os.path.join(_HERE, "..", "..", "..", "protocol", "rules"))


def rules(name: str) -> Dict[str, Any]:
    """Returns the rules of that name; empty in a broken installation, which must not end a training. Whoever needs them
    says what is done without."""
    for folder in _PLACES:
        try:
            with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
                return dict(json.load(file))
        except (OSError, ValueError):
            continue
    return {}


PACKAGES = tuple(str(name) for name in rules("packages").get("packages", ()))
_UNPRINTABLE = re.compile(str(rules("unprintable").get("characters", "[\\x00-\\x1f\\x7f-\\x9f]")))


def printable(text: str) -> str:
    """Returns the text with everything visible that a terminal would obey: names of files and branches may hold it."""
    return _UNPRINTABLE.sub("\ufffd", text)
