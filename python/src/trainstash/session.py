"""The session folder: events out, requests in. The same files with a daemon and without one."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from .badge import badge_of
from .masking import mask_text
from .numbers import dumps
from .shared import printable

if TYPE_CHECKING:
    from sqlite3 import Connection

    from .badge import Badge

SESSION_VARIABLE = "TRAINSTASH_SESSION"
CHECKPOINT_FILE = "checkpoint.json"
STATE_FILE = "state.pt"
#: The state of a training with another framework than torch.
ARRAYS_FILE = "state.safetensors"
# Events that wait for a disk that takes none: twice as many as are left when they become too many.
_MOST_PENDING = 100_000
_RETRY_SECONDS = 1.0
# More than the longest line of an event.
_LAST_BYTES = 1_000_000
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def state_in(folder: str) -> str:
    """Returns the path of the state in a checkpoint's folder; that of ``state.pt`` where there is none."""
    arrays = os.path.join(folder, ARRAYS_FILE)
    state = os.path.join(folder, STATE_FILE)
    return arrays if os.path.exists(arrays) and not os.path.exists(state) else state


def random_id() -> str:
    """Draws twelve letters and digits, without those that look like others."""
    return "".join(_LETTERS[byte & 31] for byte in os.urandom(12))


def say(text: str) -> None:
    """Prints one line for whoever reads the output; a closed or broken output is no reason to stop."""
    try:
        print(f"trainstash: {printable(text)}", file=sys.stderr, flush=True)
    except Exception:
        pass


def write_json(path: str, value: Any, durable: bool = False) -> None:
    """Appears whole or not at all."""
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(dumps(value).encode())
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def sync_folder(path: str) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Session:
    """One launch. Its failures never fail a training: what cannot be written is said once and left out."""

    def __init__(self, path: str, launch: Mapping[str, Any], alone: bool, lock: Optional[Connection] = None, badge: Optional[Badge] = None) -> None:
        self.path = path
        # Held as long as the session lives, where this process is the one that says so.
        self._own_lock = lock
        #: The badge of a notebook's cell.
        self.badge = badge
        self.launch = launch
        # Started by hand: nobody else waits for this process and writes down how it ended.
        self.alone = alone
        self._events = os.open(self.file("events.ndjson"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._seq = _newest_number(self.file("events.ndjson"))
        self._pending: List[bytes] = []
        self._full = False
        self._retry_at = 0.0
        self._said: List[str] = []
        self._control_stamp: Optional[tuple[int, int]] = None
        self._answered = 0

    @property
    def id(self) -> str:
        return str(self.launch["session"])

    @property
    def inbox(self) -> str:
        return self.file("inbox")

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def emit(self, kind: str, fields: str) -> None:
        """Writes an event at once, so that it survives a kill of this process. ``fields``: JSON without its braces."""
        with self._lock:
            self._seq += 1
            self._pending.append(f'{{"seq":{self._seq},"t":{time.time() * 1000:.0f},"type":"{kind}",{fields}}}\n'.encode())
            if not self._full or time.monotonic() >= self._retry_at:
                self._write()
        if self.badge is not None:
            self.badge.take(kind, fields)

    def flush(self) -> None:
        with self._lock:
            self._write()

    def sync(self) -> None:
        """Makes what was said up to a checkpoint as durable as the checkpoint."""
        self.flush()
        with contextlib.suppress(OSError):
            os.fsync(self._events)

    def _write(self) -> None:
        """Writes the pending lines. What the disk does not take waits for the next try. A line that is there twice is taken in once."""
        data = b"".join(self._pending)
        try:
            # A disk that becomes full takes a part, and that is no error.
            written = os.write(self._events, data) if data else 0
        except OSError:
            written = 0
        if written == len(data):
            self._pending.clear()
            self._full = False
            return
        if not self._full:
            self._full = True
            atexit.register(self.flush)
            self.once("events", "its metrics cannot be written (is the disk full?); they wait, and the training goes on")
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        # Half a line may be in the file: the newline makes it a line of its own, which readers skip.
        if written or self._pending[0] != b"\n":
            self._pending[: data.count(b"\n", 0, written)] = [b"\n"]
        if len(self._pending) > _MOST_PENDING:
            del self._pending[1 : len(self._pending) - _MOST_PENDING // 2]

    def event(self, kind: str, **fields: Any) -> None:
        self.emit(kind, dumps(fields)[1:-1])

    def notice(self, code: str, level: str, text: str, step: Optional[int]) -> None:
        self.event("notice", code=code, level=level, text=mask_text(text), step=step)

    def once(self, key: str, text: str) -> None:
        if key in self._said:
            return
        self._said.append(key)
        say(text)

    def request(self) -> Optional[Dict[str, Any]]:
        """Returns the request that was not answered yet. Costs one stat while nothing changes."""
        try:
            stat = os.stat(self.file("control"))
            stamp = (stat.st_ino, stat.st_mtime_ns)
            if stamp == self._control_stamp:
                return None
            with open(self.file("control"), encoding="utf-8") as file:
                control = json.load(file)
            self._control_stamp = stamp
            return control if control["seq"] > self._answered else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def release(self) -> None:
        """Ends the session of a process that lives on."""
        self.flush()
        if self._own_lock is not None:
            self._own_lock.close()

    def answer(self, control: Mapping[str, Any], step: int) -> None:
        self._answered = int(control["seq"])
        self.event("answered", control=self._answered, step=step)

    def write_exit(self, outcome: str, step: int, reason: str = "", trouble: Optional[Mapping[str, Any]] = None) -> None:
        self.flush()
        why = mask_text(reason)
        record: Dict[str, Any] = {"outcome": outcome, "step": step, "at": time.time() * 1000, "reason": why, "error": None}
        if trouble is not None:
            record["trouble"] = dict(trouble)
        if self.badge is not None:
            self.badge.end(outcome, why)
        try:
            write_json(self.file("exit.json"), record, durable=True)
        except OSError:
            self.once("exit", "how the run ended could not be written down")


def _newest_number(path: str) -> int:
    """Finds the number of the last event that a process before this one has told in this session; a reader skips smaller ones."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - _LAST_BYTES))
            found = re.findall(rb'^{"seq":(\d+)', file.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[-1]) if found else 0


def write_end(session: Session, step: int) -> None:
    """Writes how the process ends, for a session that nobody else waits for. To be called when the interpreter leaves."""
    if not session.alone or os.path.exists(session.file("exit.json")):
        return
    failure = getattr(sys, "last_value", None)
    reason = f"{type(failure).__name__}: {failure}" if failure is not None else ""
    session.write_exit("failed" if failure is not None else "completed", step, reason)


def managed_launch() -> Optional[Tuple[str, Dict[str, Any]]]:
    """Reads the folder and the record of the launch that this process is of; None when it was started by hand. A session is only
    opened for a training that is recorded: with its events a runner stops to look for files by itself."""
    path = os.environ.get(SESSION_VARIABLE)
    if not path:
        return None
    try:
        with open(os.path.join(path, "launch.json"), encoding="utf-8") as file:
            return path, json.load(file)
    except (OSError, ValueError) as error:
        _say_unusable(path, error)
        return None


def managed_session(badge: bool = True) -> Optional[Session]:
    """Opens the session that this process was launched for; None when it was started by hand."""
    known = managed_launch()
    if known is None:
        return None
    try:
        return Session(*known, alone=False, badge=badge_of(str(known[1].get("job")), badge))
    except OSError as error:
        _say_unusable(known[0], error)
        return None


def _say_unusable(path: str, error: Exception) -> None:
    say(f"the session folder {path} cannot be used ({error}); this training is not recorded")
