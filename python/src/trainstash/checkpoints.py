"""Taking a checkpoint when it is due: copied between two steps, written by a thread, one at a time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Tuple

from . import arrayfile, elastic, ptfile, ptread
from .ingredients import Ingredients, described
from .session import ARRAYS_FILE, CHECKPOINT_FILE, STATE_FILE, Session, random_id, say, sync_folder, write_json
from .sharded import Shards
from .staging import Staged, Staging
from .untaken import prune

_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 0.1

#: Puts files into a checkpoint's folder, and lists them as ``checkpoint.json`` does.
Beside = Callable[[str], List[Dict[str, Any]]]


class Owner(Protocol):
    """An object that knows what a place in a state, such as "model.fc.weight", is."""

    def kind_of(self, place: str) -> str: ...

    def is_vital(self, place: str) -> bool: ...


class Checkpoints:
    """``facts`` of a checkpoint are what ``checkpoint.json`` says; see the session format."""

    def __init__(
        self,
        session: Session,
        environment: Mapping[str, str],
        parent: Optional[str],
        owner: Optional[Owner] = None,
        is_of_arrays: bool = False,
    ) -> None:
        self._session = session
        self._owner = owner
        # The state is written as arrays, without torch.
        self._is_of_arrays = is_of_arrays
        self._environment = dict(environment)
        self._staging = Staging()
        self._writer: Optional[threading.Thread] = None
        # Set: nothing is held.
        self._let_go = threading.Event()
        self._let_go.set()
        #: The copy that is held was wanted, is written, and is complete.
        self.has_written_held = False
        self._parent = parent
        #: The id and the step of the newest one that this launch has written.
        self.newest: Optional[Tuple[str, int]] = None
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
        if self._prepared or self._is_of_arrays:
            return
        self._prepared = True
        try:
            self._staging.prepare(live)
        except Exception as error:
            # The first copy gets its memory by itself then.
            self._session.once("prepare", f"memory for checkpoints could not be made ready ({error})")

    def copy(self, live: Mapping[str, Any]) -> Staged:
        """Copies the state as it is now. Waits for the writer: there is one copy at a time."""
        self.join()
        if self._is_of_arrays:
            packed = arrayfile.pack(live)
            return Staged(packed, sum(array.data.nbytes for array in packed.arrays.values()), [], packed.lost, is_copy=True)
        staged = self._staging.copy(live)
        if not staged.is_copy:
            self._session.once(
                "memory",
                "there is too little free memory to copy the state; checkpoints are written while the training waits",
            )
        return staged

    @property
    def failed(self) -> bool:
        """Tells whether the newest checkpoint could not be written."""
        self.join()
        return self._failed

    def save(
        self,
        staged: Staged,
        facts: Mapping[str, Any],
        wait: bool = False,
        patience: float = 0.0,
        shards: Optional[Shards] = None,
        beside: Optional[Beside] = None,
        owner: Optional[Owner] = None,
        sum_of: Optional[Callable[[Any], str]] = None,
    ) -> None:
        """Writes a copy, in a thread unless somebody has to wait for it.

        Args:
            patience: Seconds for which it is tried again. What is not kept at a training's end is lost with the process.
            shards: The parts that the other processes write with this one; all of them wait.
            beside: Lists all other files of the folder, and may add some once the state is in it.
            owner: Knows the places of this state, where it is not the owner of all.
            sum_of: A sum over the copied state, for a state that also holds what is no state, such as the time of day.
        """
        self.join()
        lacks = self._begin(facts)
        self._name_lost(lacks, staged, owner or self._owner)

        fill = self._filler(lacks, staged, sum_of, shards, beside)
        if wait or shards is not None or not staged.is_copy:
            self._write_patiently(lacks, fill, patience)
            return
        self._writer = threading.Thread(target=self._write, args=(lacks, fill), name="trainstash-writer")
        self._writer.start()

    def hand_over(
        self, facts: Mapping[str, Any], fill: Beside, patience: float = 0.0, sum_of: Optional[Callable[[str], str]] = None
    ) -> None:
        """Takes a checkpoint of files that a framework has written, while the training waits.

        Args:
            facts: The same as for ``save``.
            fill: Puts the files into the folder that it is given, and lists them.
            patience: The same as for ``save``.
            sum_of: A sum over that folder, for files that also hold what is no state.
        """
        self.join()
        lacks = self._begin(facts)

        def filled(folder: str) -> List[Dict[str, Any]]:
            files = fill(folder)
            if sum_of is not None:
                lacks.facts["sum"] = sum_of(folder)
            return files

        self._write_patiently(lacks, filled, patience)

    def _filler(
        self,
        lacks: _Lacks,
        staged: Staged,
        sum_of: Optional[Callable[[Any], str]] = None,
        shards: Optional[Shards] = None,
        beside: Optional[Beside] = None,
    ) -> Beside:
        """Makes what writes a copy into a folder."""

        def fill(folder: str) -> List[Dict[str, Any]]:
            staged.wait()
            name = ARRAYS_FILE if self._is_of_arrays else STATE_FILE
            path = os.path.join(folder, name)
            if self._is_of_arrays:
                size = arrayfile.write(staged.state, path)
            else:
                size, storages = ptfile.write(staged.state, path)
                self._read_back(lacks, path, storages)
            if sum_of is not None:
                lacks.facts["sum"] = sum_of(staged.state)
            others = [*(shards.write(folder) if shards else []), *(beside(folder) if beside else [])]
            return [{"name": name, "bytes": size}, *others]

        return fill

    def hold(self, staged: Staged, facts: Mapping[str, Any], is_wanted: Callable[[], bool]) -> None:
        """Keeps a copy until it is let go, and writes it as soon as it is wanted."""
        self.join()
        lacks = self._begin(facts)
        self._name_lost(lacks, staged, self._owner)
        self._let_go.clear()
        self.has_written_held = False

        def write_when_wanted() -> None:
            while not self._let_go.wait(_LOOK_SECONDS):
                if is_wanted():
                    kept = self._write(lacks, self._filler(lacks, staged))
                    self.has_written_held = kept and lacks.facts.get("grade") == "complete"
                    return

        self._writer = threading.Thread(target=write_when_wanted, name="trainstash-holder", daemon=True)
        self._writer.start()

    def finish_held(self) -> None:
        """Waits until a copy that is held and was wanted is written."""
        if self._writer is not None and not self._let_go.is_set():
            self._writer.join()

    def let_go(self) -> None:
        """Gives up a copy that is held; waits for one that is being written."""
        if not self._let_go.is_set():
            self._let_go.set()
            self.join()
            self.has_written_held = False

    def _begin(self, facts: Mapping[str, Any]) -> _Lacks:
        self._taken += 1
        return _Lacks(
            {
                "format": 1,
                "id": random_id(),
                "session": self._session.id,
                "createdAt": time.time() * 1000,
                "parent": self._parent,
                "environment": self._environment,
                **facts,
            }
        )

    def _write_patiently(self, lacks: _Lacks, fill: Beside, patience: float) -> None:
        until = time.monotonic() + patience
        while not self._write(lacks, fill, patience > 0) and time.monotonic() < until:
            # There may be room already for events that wait to be written.
            self._session.flush()
            time.sleep(_RETRY_SECONDS)

    def join(self) -> None:
        self._let_go.set()
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self, lacks: _Lacks, fill: Beside, is_last: bool = False) -> bool:
        session, facts = self._session, lacks.facts
        inbox = session.inbox
        name = f"{facts['step']:09d}-{self._taken:06d}-{facts['id']}"
        temporary = os.path.join(inbox, f".tmp-{name}")
        try:
            os.makedirs(temporary, mode=0o700)
            facts["files"] = fill(temporary)
            write_json(os.path.join(temporary, CHECKPOINT_FILE), lacks.settle(), durable=True)
            sync_folder(temporary)
            session.sync()
            elastic.keep(inbox, temporary, name)
            os.rename(temporary, os.path.join(inbox, name))
            sync_folder(inbox)
            self._parent = str(facts["id"])
            self.newest = (self._parent, int(facts["step"]))
            self._failed = False
            session.event("checkpoint", step=facts["step"], name=name)
        except Exception as error:
            shutil.rmtree(temporary, ignore_errors=True)
            self._say_failed(int(facts["step"]), error, is_last)
            self._failed = True
            return False
        try:
            elastic.forget_older(inbox)
            prune(session.inbox, self.monitor)
        except OSError:
            pass  # It is pruned after the next one.
        return True

    def _name_lost(self, lacks: _Lacks, staged: Staged, owner: Optional[Owner]) -> None:
        """Names what is not in the state: in the facts for people, and in the state for the resume."""
        if not staged.lost:
            return
        for place, why in staged.lost:
            lacks.lose(owner.kind_of(place) if owner else "other", place, why)
        state = staged.state.skeleton if self._is_of_arrays else staged.state
        about = state.get("trainstash")
        if isinstance(about, dict):
            about["lost"] = [place for place, _ in staged.lost]
        vital = [f"{place} ({why})" for place, why in staged.lost if owner and owner.is_vital(place)]
        if vital:
            more = f" and {len(vital) - 1} more" if len(vital) > 1 else ""
            self.say_useless(int(lacks.facts["step"]), f"they are without {vital[0]}{more}")

    def _read_back(self, lacks: _Lacks, path: str, storages: List[Any]) -> None:
        """Reads a checkpoint back: it counts for what a resume would find in it."""
        try:
            ptread.check(path, storages)
        except ValueError as error:
            lacks.lose("other", "the checkpoint itself", f"it cannot be read back: {error}")
            self.say_useless(int(lacks.facts["step"]), f"they cannot be read back ({error})")

    def say_useless(self, step: int, why: str) -> None:
        """Says that checkpoints are useless, once, with the first checkpoint: not when somebody needs one."""
        if self._said_useless:
            return
        self._said_useless = True
        text = f"This training cannot be resumed from its checkpoints: {why}. It goes on; its metrics are kept."
        say(text)
        self._session.notice("cannotResume", "error", text, step)

    def _say_failed(self, step: int, error: Exception, is_last: bool) -> None:
        """Says that writing failed: once, until one could be written again; and once more for the last."""
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


class _Lacks:
    """The parts that one checkpoint lacks, in its facts; the list of its ingredients becomes part of them with ``settle``."""

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
