"""Images, histograms, tables and texts that a script logs beside its numbers. Each content is one file of the session, under the
name of its SHA-256, and a line of ``media.ndjson`` says at which step it was logged. Limits: ``protocol/rules/media.json``."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .masking import mask_text
from .media_content import histogram_of, image_of, is_image, table_of, tables_in
from .numbers import as_number, dumps
from .session import Session
from .shared import rules

_RULES = rules("media")
#: The words of ``run.log`` that say what their value is. Anything else is a number, or an object that is an image by itself.
_KINDS = ("image", "histogram", "table", "text")


class Media:
    """The media of a launch. Nothing that a script hands over as one can end its training."""

    def __init__(self, session: Optional[Session]) -> None:
        self._session = session
        self._counts: Dict[str, int] = {}
        self._bytes = 0

    def take(self, step: int, name: str, value: Any) -> bool:
        """Keeps a value that is no number; tells whether it was one of these."""
        try:
            kind = _kind_of(name, value)
        except Exception:
            # An object that raises when it is looked at is no image.
            return False
        if kind is None:
            return False
        if self._session is not None:
            self._keep_all(self._session, step, kind, name, value)
        return True

    def _keep_all(self, session: Session, step: int, kind: str, name: str, value: Any) -> None:
        try:
            named = list(_named(kind, name, value))
        except Exception as error:
            _say_unreadable(session, kind, name, error)
            return
        for one, content in named:
            self._keep(session, step, kind, one, content)

    def _keep(self, session: Session, step: int, kind: str, name: str, value: Any) -> None:
        try:
            content = _content_of(kind, value)
        except Exception as error:
            _say_unreadable(session, kind, name, error)
            return
        reason = self._refusal(name, content)
        if reason is not None:
            session.once(f"media limit {name}", f"the {kind} {name} is not kept at every step from now on: {reason}")
            return
        try:
            self._write(session, step, kind, name, content)
        except OSError as error:
            session.once("media", f"images, tables and texts cannot be written ({error}); they are left out, and the training goes on")

    def _refusal(self, name: str, content: bytes) -> Optional[str]:
        """Tells why something is not kept; None: it is."""
        if not _RULES:
            return "the package is not installed as a whole"
        if len(content) > _RULES["itemBytes"]:
            return f"it has {len(content) / 1e6:.1f} MB, and at most {_RULES['itemBytes'] / 1e6:.1f} MB are kept"
        if name not in self._counts and len(self._counts) >= _RULES["names"]:
            return f"there are {_RULES['names']} others"
        if self._counts.get(name, 0) >= _RULES["perName"]:
            return f"there are {_RULES['perName']} of it"
        if self._bytes + len(content) > _RULES["sessionBytes"]:
            return f"all of them together have more than {_RULES['sessionBytes'] / 1e6:.0f} MB"
        return None

    def _write(self, session: Session, step: int, kind: str, name: str, content: bytes) -> None:
        folder = session.file("media")
        total = hashlib.sha256(content).hexdigest()
        path = os.path.join(folder, total)
        if not os.path.exists(path):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            temporary = os.path.join(folder, f".trainstash-tmp-{os.getpid()}")
            with open(temporary, "wb", opener=lambda place, flags: os.open(place, flags, 0o600)) as file:
                file.write(content)
            os.replace(temporary, path)
            self._bytes += len(content)
        line = dumps({"t": time.time() * 1000, "step": step, "name": name, "kind": kind, "sum": total, "bytes": len(content)})
        with open(session.file("media.ndjson"), "ab", opener=lambda place, flags: os.open(place, flags, 0o600)) as file:
            file.write(f"{line}\n".encode())
        self._counts[name] = self._counts.get(name, 0) + 1


def _say_unreadable(session: Session, kind: str, name: str, error: Exception) -> None:
    try:
        why = f"{type(error).__name__}: {str(error)[:200]}"
    except Exception:
        # An exception's own text is the user's code too.
        why = type(error).__name__
    session.once(f"media {name}", f"the {kind} {name} cannot be read and is left out ({why})")


def _kind_of(name: str, value: Any) -> Optional[str]:
    """Tells what kind of medium a value is; None: it is logged as a number, or left out as none."""
    if is_image(value):
        return "image"
    if name not in _KINDS:
        return None
    # A metric of that name stays one.
    return None if not isinstance(value, (str, bytes, list, tuple, dict)) and as_number(value) is not None else name


def _named(kind: str, name: str, value: Any) -> Iterator[Tuple[str, Any]]:
    """Yields each medium with its name: those of a dict are named by their keys, those of a list of images by their places."""
    if isinstance(value, dict) and (kind != "table" or tables_in(value)):
        for key, one in value.items():
            yield str(key)[:200], one
    elif kind == "image" and isinstance(value, (list, tuple)) and value and not _is_of_numbers(value):
        for i, one in enumerate(value[:16]):
            yield f"{name}/{i}", one
    else:
        yield name, value


def _is_of_numbers(value: Any) -> bool:
    """Tells whether nested lists are one image, rather than a list of images."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (int, float))


def _content_of(kind: str, value: Any) -> bytes:
    if kind == "image":
        return image_of(value, int(_RULES.get("pixels", 1 << 24)))
    if kind == "histogram":
        return dumps(histogram_of(value, int(_RULES.get("bins", 64)))).encode()
    if kind == "table":
        return dumps(_masked(table_of(value, _RULES.get("rows", 1000), _RULES.get("columns", 50), _RULES.get("cell", 1000)))).encode()
    return mask_text(str(value)).encode("utf-8", "replace")[: _RULES.get("text", 65536)]


def _masked(table: Dict[str, Any]) -> Dict[str, Any]:
    rows: List[List[Any]] = [[mask_text(cell) if isinstance(cell, str) else cell for cell in row] for row in table["rows"]]
    return {**table, "rows": rows}
