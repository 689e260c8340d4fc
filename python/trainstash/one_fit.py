"""The common part of the adapters: a session, when to save, and handing over files that a framework has written."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from .distributed import Group
from .environment import environment, merged_params, plain_params
from .numbers import as_number, is_better, plain_metrics
from .policy import Policy
from .session import CHECKPOINT_FILE, Session, managed_session, random_id, say, sync_folder, write_end, write_json
from .watch import Watch

_POLL_SECONDS = 0.1


class Recorder:
    """A recorder that does nothing on other ranks than 0, and where no session can be had."""

    def __init__(self, framework: str, params: Mapping[str, Any]) -> None:
        self.group = Group()
        self.session: Optional[Session] = managed_session()
        if self.session is None and self.group.rank == 0:
            from .alone import own_session

            self.session = own_session(params, None)
            if self.session:
                say(f"no daemon started this; it is recorded in {self.session.path}")
        launch: Mapping[str, Any] = self.session.launch if self.session else {}
        self.launch = launch
        self.params = merged_params(params, launch.get("params"))
        #: Folder of the checkpoint to go on from, or None.
        self.resume: Optional[str] = None
        if self.session and launch.get("resume"):
            self.resume = os.path.join(self.session.path, launch["resume"]["directory"])
        self._parent = launch["resume"]["checkpoint"] if launch.get("resume") else None
        if self.group.rank != 0:
            self.session = None
        #: The facts that the bits of a training depend on.
        self.environment = {**environment(self.group), "adapter": framework}
        self.policy = Policy(launch.get("checkpoint") or {}, 0)
        self._polled = 0.0
        self._taken = 0
        self._best: Optional[float] = None
        self._watch = Watch(launch)
        self.metrics: Dict[str, float] = {}
        self.asked: Optional[Dict[str, Any]] = None
        #: Said with every checkpoint: what this framework's own files lack.
        self.missing: List[str] = []
        self._step = 0
        if self.session and self.session.alone:
            atexit.register(_write_end, self)

    def started(self, step: int, epoch: int, total: Optional[int], per_epoch: Optional[int]) -> None:
        self.policy = Policy(self.launch.get("checkpoint") or {}, step)
        if self.session:
            self.session.event(
                "started",
                step=step,
                epoch=epoch,
                totalSteps=total,
                stepsPerEpoch=per_epoch,
                environment=self.environment,
                monitor=self.launch.get("monitor"),
                params=plain_params(self.params),
                cooperative=True,
            )

    def log(self, step: int, epoch: int, metrics: Mapping[str, Any]) -> None:
        self._step = step
        values: Dict[str, float] = {}
        for name, value in metrics.items():
            number = as_number(value)
            if number is not None:
                values[name] = number
        if values and self.session:
            self.metrics.update(values)
            self.session.event("metrics", step=step, epoch=epoch, values=plain_metrics(values))
            self._watch.look(self.session, step, values)

    def due(self, step: int) -> List[str]:
        """Lists why a checkpoint is due at this step; what was asked for stands in ``asked``."""
        if self.session is None:
            return []
        now = time.monotonic()
        if self.asked is None and now - self._polled >= _POLL_SECONDS:
            self._polled = now
            self.asked = self.session.request()
        reasons = [] if self._watch.diverged else self.policy.due(step)
        if self._watch.pause is not None:
            # These frameworks leave with a checkpoint; one of a diverged state is marked by its metrics.
            reasons.append("pause")
        elif self.asked:
            reasons.append("pause" if self.asked.get("pause") else "stop" if self.asked.get("stop") else "request")
        return reasons

    def due_at_epoch(self, epochs_done: int) -> List[str]:
        reasons = [] if self._watch.diverged else self.policy.due_at_epoch(epochs_done)
        monitor = self.launch.get("monitor")
        if monitor and self.policy.on_best and not self._watch.diverged:
            value = self.metrics.get(monitor["metric"])
            if value is not None and is_better(monitor, value, self._best):
                self._best = value
                reasons.append("best")
        return reasons

    @property
    def leaving(self) -> bool:
        """Tells whether a pause or a stop was asked for."""
        return bool(self._watch.pause or self.asked and (self.asked.get("pause") or self.asked.get("stop")))

    def hand_over(
        self, step: int, epoch: int, batch: int, reasons: List[str], write: Callable[[str], None], exact: bool = True
    ) -> None:
        """Hands over files: ``write`` puts them into the folder that it is given. Our failures never fail a training."""
        session = self.session
        if session is None:
            return
        began = time.perf_counter()
        checkpoint = random_id()
        self._taken += 1
        name = f"{step:09d}-{self._taken:06d}-{checkpoint}"
        temporary = os.path.join(session.inbox, f".tmp-{name}")
        try:
            os.makedirs(temporary, mode=0o700)
            write(temporary)
            missing = list(self.missing) if exact else [*self.missing, "the place in the epoch's data"]
            facts = {
                "format": 1,
                "id": checkpoint,
                "session": session.id,
                "step": step,
                "epoch": epoch,
                "batch": batch,
                "createdAt": time.time() * 1000,
                "reasons": reasons,
                "grade": "partial" if missing else "complete",
                "missing": missing,
                "parent": self._parent,
                "metrics": plain_metrics(self.metrics),
                "environment": self.environment,
                "data": None,
                "files": _files(temporary),
            }
            write_json(os.path.join(temporary, CHECKPOINT_FILE), facts, durable=True)
            sync_folder(temporary)
            session.sync()
            os.rename(temporary, os.path.join(session.inbox, name))
            sync_folder(session.inbox)
            self._parent = checkpoint
            session.event("checkpoint", step=step, name=name)
        except Exception as error:
            shutil.rmtree(temporary, ignore_errors=True)
            session.notice("checkpointFailed", "error", f"The checkpoint of step {step} could not be kept ({error}).", step)
        self.policy.taken(step, time.perf_counter() - began)
        if self.asked and not self.leaving:
            session.answer(self.asked, step)
            self.asked = None

    def leave(self, step: int) -> None:
        """Ends the process after a pause or stop that was asked for, by a person or by the job: the state is saved."""
        if self.session and self._watch.pause is not None:
            self.session.write_exit("paused", step, self._watch.pause)
        elif self.session and self.asked:
            outcome = "paused" if self.asked.get("pause") else "stopped"
            self.session.answer(self.asked, step)
            self.session.write_exit(outcome, step)
        if "ipykernel" in sys.modules:
            raise KeyboardInterrupt("trainstash: the training was asked to end")
        raise SystemExit(0)


def _write_end(recorder: Recorder) -> None:
    """Completes a training that was started by hand and ends cleanly."""
    if recorder.session is not None:
        write_end(recorder.session, recorder._step)


def link_tree(source: str, target: str) -> None:
    """Links the files of a folder: its framework may delete it at any time. Copies where links cannot be had."""
    for folder, _, names in os.walk(source):
        inside = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(inside, exist_ok=True)
        for name in names:
            try:
                os.link(os.path.join(folder, name), os.path.join(inside, name))
            except OSError:
                shutil.copy2(os.path.join(folder, name), os.path.join(inside, name))


def python_rng() -> Dict[str, Any]:
    """Captures the random numbers of Python and NumPy, as JSON can hold them."""
    version, internal, gauss = random.getstate()
    state: Dict[str, Any] = {"python": [version, list(internal), gauss]}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, position, has_gauss, cached = numpy.random.get_state()
        state["numpy"] = [str(name), [int(key) for key in keys], int(position), int(has_gauss), float(cached)]
    return state


def set_python_rng(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "numpy" in state:
        import numpy

        name, keys, position, has_gauss, cached = state["numpy"]
        numpy.random.set_state((name, numpy.array(keys, dtype="uint32"), position, has_gauss, cached))


def _files(folder: str) -> List[Dict[str, Any]]:
    found = []
    for at, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(at, name)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            inside = os.path.relpath(path, folder).replace(os.sep, "/")
            found.append({"name": inside, "bytes": os.path.getsize(path)})
    return found
