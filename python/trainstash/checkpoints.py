"""When a checkpoint is due, and taking it: copied between two steps, written by a thread, one at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Protocol

from . import ptfile, ptread
from .ingredients import Ingredients, described
from .numbers import from_wire, has_diverged, is_better
from .session import CHECKPOINT_FILE, STATE_FILE, Session, random_id, say, sync_folder, write_json
from .sharded import Shards
from .staging import Staged, Staging

# Without a daemon that takes checkpoints, this many of the newest stay in the inbox, and the best.
UNTAKEN_LAST = 3
_RETRY_SECONDS = 1.0


class Owner(Protocol):
    """Who knows what a place in a state, such as "model.fc.weight", is."""

    def kind_of(self, place: str) -> str: ...

    def is_vital(self, place: str) -> bool: ...


class Checkpoints:
    """``facts`` of a checkpoint are what ``checkpoint.json`` says; see the session format."""

    def __init__(
        self, session: Session, environment: Mapping[str, str], parent: Optional[str], owner: Optional[Owner] = None
    ) -> None:
        self._session = session
        self._owner = owner
        self._environment = dict(environment)
        self._staging = Staging()
        self._writer: Optional[threading.Thread] = None
        self._parent = parent
        self._taken = 0
        self._failed = False
        self._said_last = False
        self._prepared = False
        self._said_useless = False
        self.monitor: Optional[Mapping[str, str]] = session.launch.get("monitor")

    @property
    def in_flight(self) -> bool:
        return self._writer is not None and self._writer.is_alive()

    def prepare(self, live: Mapping[str, Any]) -> None:
        if self._prepared:
            return
        self._prepared = True
        try:
            self._staging.prepare(live)
        except Exception as error:
            # The first copy gets its memory by itself then.
            self._session.once("prepare", f"memory for checkpoints could not be made ready ({error})")

    def copy(self, live: Mapping[str, Any]) -> Staged:
        """The state as it is now. Waits for the writer: there is one copy at a time."""
        self.join()
        staged = self._staging.copy(live)
        if not staged.is_copy:
            self._session.once(
                "memory",
                "there is too little free memory to copy the state; checkpoints are written while the training waits",
            )
        return staged

    @property
    def failed(self) -> bool:
        """Whether the newest one could not be written."""
        self.join()
        return self._failed

    def save(
        self,
        staged: Staged,
        facts: Mapping[str, Any],
        wait: bool = False,
        patience: float = 0.0,
        shards: Optional[Shards] = None,
    ) -> None:
        """Writes a copy, in a thread unless somebody has to wait for it.

        Args:
            patience: Seconds for which it is tried again. What is not kept at a training's end is lost with the process.
            shards: What the other processes write with this one; all of them wait.
        """
        self.join()
        self._taken += 1
        checkpoint = random_id()
        complete: Dict[str, Any] = {
            "format": 1,
            "id": checkpoint,
            "session": self._session.id,
            "createdAt": time.time() * 1000,
            "parent": self._parent,
            "environment": self._environment,
            **facts,
        }
        lacks = _Lacks(complete)
        self._name_lost(lacks, staged)
        name = f"{complete['step']:09d}-{self._taken:06d}-{checkpoint}"
        if wait or shards is not None or not staged.is_copy:
            until = time.monotonic() + patience
            while not self._write(staged, lacks, name, patience > 0, shards) and time.monotonic() < until:
                # For what is said there may be room already.
                self._session.flush()
                time.sleep(_RETRY_SECONDS)
            return
        self._writer = threading.Thread(target=self._write, args=(staged, lacks, name), name="trainstash-writer")
        self._writer.start()

    def join(self) -> None:
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self, staged: Staged, lacks: _Lacks, name: str, is_last: bool = False, shards: Optional[Shards] = None) -> bool:
        session, facts = self._session, lacks.facts
        inbox = session.inbox
        temporary = os.path.join(inbox, f".tmp-{name}")
        try:
            os.makedirs(temporary, mode=0o700)
            staged.wait()
            path = os.path.join(temporary, STATE_FILE)
            size, storages = ptfile.write(staged.state, path)
            self._read_back(lacks, path, storages)
            facts["files"] = [{"name": STATE_FILE, "bytes": size}, *(shards.write(temporary) if shards else [])]
            write_json(os.path.join(temporary, CHECKPOINT_FILE), lacks.settle(), durable=True)
            sync_folder(temporary)
            session.sync()
            os.rename(temporary, os.path.join(inbox, name))
            sync_folder(inbox)
            self._parent = str(facts["id"])
            self._failed = False
            session.event("checkpoint", step=facts["step"], name=name)
        except Exception as error:
            shutil.rmtree(temporary, ignore_errors=True)
            self._say_failed(int(facts["step"]), error, is_last)
            self._failed = True
            return False
        try:
            self._prune()
        except OSError:
            pass  # It is pruned after the next one.
        return True

    def _name_lost(self, lacks: _Lacks, staged: Staged) -> None:
        """What is not in the state, in the facts for people and in the state for the resume."""
        if not staged.lost:
            return
        owner = self._owner
        for place, why in staged.lost:
            lacks.lose(owner.kind_of(place) if owner else "other", place, why)
        about = staged.state.get("trainstash")
        if isinstance(about, dict):
            about["lost"] = [place for place, _ in staged.lost]
        vital = [f"{place} ({why})" for place, why in staged.lost if owner and owner.is_vital(place)]
        if vital:
            more = f" and {len(vital) - 1} more" if len(vital) > 1 else ""
            self.say_useless(int(lacks.facts["step"]), f"they are without {vital[0]}{more}")

    def _read_back(self, lacks: _Lacks, path: str, storages: List[Any]) -> None:
        """A checkpoint counts for what a resume would find in it."""
        try:
            ptread.check(path, storages)
        except ValueError as error:
            lacks.lose("other", "the checkpoint itself", f"it cannot be read back: {error}")
            self.say_useless(int(lacks.facts["step"]), f"they cannot be read back ({error})")

    def say_useless(self, step: int, why: str) -> None:
        """Once, with the first checkpoint: not when somebody needs one."""
        if self._said_useless:
            return
        self._said_useless = True
        text = f"This training cannot be resumed from its checkpoints: {why}. It goes on; its metrics are kept."
        say(text)
        self._session.notice("cannotResume", "error", text, step)

    def _say_failed(self, step: int, error: Exception, is_last: bool) -> None:
        """Once, until one could be written again; and once more for the last."""
        if self._said_last or (self._failed and not is_last):
            return
        self._said_last = is_last
        problem = f"The checkpoint of step {step} could not be written ({error})."
        if is_last:
            text = f"{problem} Training waits with its state in memory: free some disk space within ten minutes."
            say(text)
        else:
            text = f"{problem} Training goes on. Free some disk space: the next one is tried when it is due."
        self._session.notice("checkpointFailed", "error", f"{text} Earlier checkpoints are untouched.", step)

    def _prune(self) -> None:
        """Nobody may be there to take checkpoints for days: the disk must not fill up."""
        inbox = self._session.inbox
        names = sorted(name for name in os.listdir(inbox) if not name.startswith("."))
        if len(names) <= UNTAKEN_LAST:
            return
        entries = [(name, self._facts(name)) for name in names]
        good = [(name, facts) for name, facts in entries if facts and not self._diverged(facts)]
        best = self._best(good)
        # One of a diverged state takes the place of no good one.
        newest = {name for name, _ in [*good[-UNTAKEN_LAST:], *entries[-UNTAKEN_LAST:]]}
        for name, facts in entries:
            if facts and name != best and name not in newest and "request" not in facts["reasons"]:
                # Renamed first: a daemon takes all of it, or finds nothing.
                hidden = os.path.join(inbox, f".tmp-{name}")
                with contextlib.suppress(OSError):
                    os.rename(os.path.join(inbox, name), hidden)
                    shutil.rmtree(hidden, ignore_errors=True)

    def _best(self, entries: List[Any]) -> Optional[str]:
        monitor = self.monitor
        if monitor is None:
            return None
        best: Optional[str] = None
        record: Optional[float] = None
        for name, facts in entries:
            if monitor["metric"] in facts["metrics"]:
                value = from_wire(facts["metrics"][monitor["metric"]])
                if is_better(monitor, value, record):
                    best, record = name, value
        return best

    def _diverged(self, facts: Mapping[str, Any]) -> bool:
        return has_diverged(self.monitor, facts["metrics"].__getitem__)

    def _facts(self, name: str) -> Optional[Dict[str, Any]]:
        import json

        try:
            with open(os.path.join(self._session.inbox, name, CHECKPOINT_FILE), encoding="utf-8") as file:
                facts: Dict[str, Any] = json.load(file)
                return facts
        except (OSError, ValueError):
            return None  # A daemon has claimed it since the listing.


class _Lacks:
    """What one checkpoint lacks, in its facts; the list of its ingredients becomes part of them with ``settle``."""

    def __init__(self, facts: Dict[str, Any]) -> None:
        self.facts = facts
        self._found: Optional[Ingredients] = facts.pop("ingredients", None)

    def lose(self, kind: str, name: str, why: str) -> None:
        if self._found is not None:
            self._found.lost(kind, name, why)
            return
        self.facts["grade"], self.facts["missing"] = "partial", [*self.facts["missing"], f"{name} ({why})"]

    def settle(self) -> Dict[str, Any]:
        if self._found is not None:
            self.facts.update(described(self._found))
        return self.facts
