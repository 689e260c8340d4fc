"""The session of a process, and the fits in it: what the adapters of all frameworks share.

How an adapter uses it:

    recorder = recorder_of("keras", wishes)           # one for each process, however often the adapter is attached
    fit = recorder.next_fit()                         # when a fit begins; numbered: the first is 1
    fit.fate == FINISHED  -> load what is in fit.folder, and train nothing; FRESH -> train from the beginning
    fit.fate == RESUMED   -> load fit.folder, and go on (fit.ended: that fit had come to its end there)
    fit.begin(step, epoch, total, per_epoch, params=…, monitor=…)   # ranks are known; counts are the fit's own, restored ones
    fit.log(step, epoch, metrics, validated=False)    # each at its own step; validated ones may be the best
    due = fit.due(step)  /  fit.due_at_epoch(step, epochs_done)     # on all ranks, where nothing of the step is left to do
    if due: fit.save_files(Place(step, epoch, batch), due, found, write)   # found: Ingredients; write(folder) puts files there
    if due.leaves: fit.leave(step)                    # after a pause, a stop, or a replay that has come as far as it was to
    fit.finish(step, epoch); fit.save_files(…)        # trained to the end: later checkpoints carry this state along

``save_state`` takes a state of tensors and plain values instead of files, copies it and writes it beside the training. What
a framework rewrites in place is copied with ``files.copy_tree`` inside of ``write``. In a replay (``fit.is_replay``) only what is
due is kept. None of these fails a training; ``leave`` raises SystemExit.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from typing import Any, Dict, List, Mapping, Optional

from . import allocation, notebook, options, signals, workers
from .checkpoints import Checkpoints
from .distributed import Group
from .environment import environment, merged_params, plain_params
from .files import link_tree
from .fit import Fit
from .fit_record import FITS_FOLDER, Finished, read_record
from .left_out import left_out_of
from .policy import Policy
from .session import Session, managed_launch, managed_session, say, write_end
from .watch import Watch
from .wishes import Wishes, in_force

_OWNER_VARIABLE = "TRAINSTASH_OWNER"

_current: Optional[Recorder] = None


def recorder_of(framework: str, wishes: Optional[Wishes] = None) -> Recorder:
    """Finds or makes the recorder of this process. After a pause in a notebook, a new one.

    Raises:
        ValueError: The wishes make no sense. Nothing was started.
    """
    global _current
    wishes = wishes or Wishes()
    wishes.check()
    if _current is None or _current.pid != os.getpid() or _current.has_left:
        _current = Recorder(framework, wishes)
    return _current


class Recorder:
    """The common part of all fits of a process. Its rank, and whether it records, are known once a fit has begun."""

    def __init__(self, framework: str, wishes: Wishes) -> None:
        self.pid = os.getpid()
        self.framework = framework
        self._wishes = wishes
        folder, launch = managed_launch() or (None, {})
        force = in_force(launch, wishes)
        self.launch: Mapping[str, Any] = {**launch, "checkpoint": force.checkpoint, "keep": force.keep, "monitor": force.monitor}
        self.seed = int(launch.get("seed") or 0)
        self.is_replay = launch.get("purpose") == "verify"
        #: The folder of the checkpoint that this launch goes on from.
        self.resume: Optional[str] = None
        resume = launch.get("resume")
        if folder is not None and resume:
            self.resume = os.path.join(folder, resume["directory"])
        self._parent: Optional[str] = resume["checkpoint"] if resume else None
        #: The checkpoint's account of the fits before it, and of its own.
        self.record = read_record(self.resume)
        #: The place of the run: steps and epochs of all its fits together.
        self.step, self.epoch = int(resume["step"]) if resume else 0, self.record.epoch
        self.finished: List[Finished] = []
        #: None before the first fit has begun, on other ranks than 0, and where none can be had.
        self.session: Optional[Session] = None
        self.checkpoints: Optional[Checkpoints] = None
        self.group = Group(alone=True)
        self.policy = Policy({}, 0)
        self.watch = Watch(self.launch)
        #: The batches that a rollback leaves out; an adapter that does it says so.
        self.left_out = left_out_of(launch)
        self.metrics: Dict[str, float] = {}
        self.params: Dict[str, Any] = {}
        self.environment: Dict[str, str] = {}
        self.has_left = False
        self._fits = 0
        self._has_begun = self._has_said_started = False

    def next_fit(self) -> Fit:
        """Numbers the fit that begins now. Nothing is recorded before its ``begin``."""
        self._fits += 1
        return Fit(self, self._fits)

    def begin(self, params: Mapping[str, Any], monitor: Optional[Mapping[str, str]], step: int) -> None:
        """Opens the session, with the first fit. Ranks are known from here on."""
        if not self.group.is_current():
            self.group = Group()
        if self.group.several or not self._is_of_parent():
            signals.watch()
            workers.guard()
        if self._has_begun:
            return
        self._has_begun = True
        self.params = merged_params(params, self.launch.get("params"))
        if monitor is not None and self.launch.get("monitor") is None:
            self.launch = {**self.launch, "monitor": dict(monitor)}
        self.watch = Watch(self.launch)
        self.policy = Policy(self.launch.get("checkpoint") or {}, step)
        self.environment = {**environment(self.group), "adapter": self.framework}
        self.session = self._open() if self.group.rank == 0 and self._is_owner() else None
        if self.session is not None:
            self.launch = self.session.launch = {**self.session.launch, **self.launch}
            self.checkpoints = Checkpoints(self.session, self.environment, self._parent)
            self._take_over_finished(self.session)
            atexit.register(self._at_exit)

    def say_plan(self, total: Optional[int], per_epoch: Optional[int]) -> None:
        """Tells the session how long the training will be, and for the first time also what it is and where it stands."""
        if self.session is None:
            return
        if self._has_said_started:
            self.session.event("plan", totalSteps=total, stepsPerEpoch=per_epoch)
            return
        self._has_said_started = True
        self.session.event(
            "started",
            step=self.step,
            epoch=self.epoch,
            totalSteps=total,
            stepsPerEpoch=per_epoch,
            environment=self.environment,
            monitor=self.launch.get("monitor"),
            keep=self.launch.get("keep"),
            params=plain_params(self.params),
            cooperative=True,
        )
        if self.left_out.is_due:
            self.left_out.is_due = False
            self.session.notice("notLeftOut", "warning", f"The batches that this rollback was to leave out are trained on: {self.framework} cannot begin at another one.", self.step)

    def apply_params(self, optimizers: Mapping[str, Any], schedules: Mapping[str, Any]) -> None:
        """Puts hyper-parameters in force that this launch was given other values of than its checkpoint has. To be called when
        optimizers and schedules are as the checkpoint has them."""
        before = (self.launch.get("resume") or {}).get("params") or {}
        for done in options.apply(before, self.launch.get("params") or {}, optimizers, schedules):
            say(done)
            if self.session is not None:
                self.session.notice("params", "info", f"{done}.", self.step)

    def leave(self, outcome: str, reason: str = "", trouble: Optional[Mapping[str, Any]] = None) -> None:
        """Ends the process as asked, once its state is saved.

        Raises:
            SystemExit: Always. In a notebook KeyboardInterrupt.
        """
        if self.checkpoints is not None:
            self.checkpoints.join()
        self.has_left = True
        if self.session is not None:
            self.session.write_exit(outcome, self.step, reason, trouble)
        elif self.group.rank == 0 and signals.noted():
            signals.end_by(signals.noted())  # Nothing is recorded: it ends as it would without us.
        signal = signals.name_of(signals.noted()) if outcome == "paused" else None
        signals.forget()
        if notebook.shell() is not None:
            raise KeyboardInterrupt(f"trainstash: {outcome} at step {self.step}")
        raise SystemExit(allocation.exit_code(signal))

    def _open(self) -> Optional[Session]:
        if managed_launch() is not None:
            return managed_session()
        from .unmanaged import own_session

        return own_session(self.params, None, in_force({}, self._wishes))

    def _is_owner(self) -> bool:
        """Tells whether this process records; False in one that a training has started, and in one that ``trainstash.init`` records."""
        if self._is_of_parent():
            return False
        launching = sys.modules.get("trainstash.launching")
        if launching is not None and launching._current is not None:
            say(f"one process records one training: that of init() is recorded, this one of {self.framework} is not")
            return False
        os.environ[_OWNER_VARIABLE] = str(self.pid)
        return True

    def _is_of_parent(self) -> bool:
        owner = os.environ.get(_OWNER_VARIABLE)
        return owner is not None and owner != str(self.pid) and not self.group.several

    def _take_over_finished(self, session: Session) -> None:
        """Takes over the finished fits: later checkpoints of this launch carry along what the one that it goes on from does."""
        for one in self.record.finished:
            source = os.path.join(self.resume or "", FITS_FOLDER, str(one.number))
            if os.path.isdir(source):
                try:
                    link_tree(source, os.path.join(session.file(FITS_FOLDER), str(one.number)))
                except OSError as error:
                    one = one._replace(why=f"it could not be copied ({error})")
            self.finished.append(one)

    def _at_exit(self) -> None:
        session = self.session
        if session is None or os.getpid() != self.pid:
            return
        if self.checkpoints is not None:
            self.checkpoints.join()
        session.flush()
        shutil.rmtree(session.file(FITS_FOLDER), ignore_errors=True)
        write_end(session, self.step)

