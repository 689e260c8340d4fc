"""A training behind its façade: the loop's events, and what is done between two steps."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .best import Best
from .checkpoints import Checkpoints
from .data import Batches
from .distributed import Group
from .ending import Ending
from .environment import environment, plain_params
from .gradients import Gradients
from .ingredients import Ingredients, sentence
from .metrics import Metrics
from .policy import Policy
from .position import AT_END, TAIL, UNSEEN, Position
from .progress import Progress
from .putback import PutBack
from .randomness import Randomness
from .resharding import fit
from .saving import Saver
from .scopes import is_loop_head, source_of
from .script import caller, site_of, was_left_in_order
from .session import Session, say
from .state import State, States
from .surroundings import Surroundings
from .tracked import Tracked
from .watch import Watch

_POLL_SECONDS = 0.1
_NOTHING, _SAVE, _PAUSE, _STOP, _DONE, _LEAVE = 0, 1, 2, 3, 4, 5


class Engine:
    """Of one launch. Without a session (on other ranks than 0, or in a child process) it decides and writes nothing."""

    def __init__(
        self,
        session: Optional[Session],
        launch: Mapping[str, Any],
        tracked: Tracked,
        params: Dict[str, Any],
        group: Group,
    ) -> None:
        self.pid = os.getpid()
        self.session = session
        self.launch = launch
        self.tracked = tracked
        self.group = group
        self.params = params
        self.vars: Dict[str, Any] = {}
        self.steps = 0
        self.resumed = False
        self.seed = int(launch.get("seed") or 0)
        self.rank: int = group.rank
        self.world: int = group.world
        #: Whether the loop has come to its end.
        self.over = False
        self.is_replay = launch.get("purpose") == "verify"
        self.position = Position()
        self.states = States()
        self.watch = Watch(launch)
        self.metrics = Metrics(session, self.watch)
        self.gradients = Gradients(tracked.objects)
        self.best = Best(launch.get("monitor"), self.gradients)
        self.progress = Progress(self.position)
        self.policy = Policy({}, 0)
        self.checkpoints: Optional[Checkpoints] = None
        #: What no checkpoint of this launch has, whatever else it has.
        self.lost = Ingredients()
        self.random = Randomness(tracked)
        self.surroundings = Surroundings(tracked, self._is_kept)
        self.saver = Saver(self)
        self.ending = Ending(self)
        #: Resumes that went without something.
        self.detours: List[Tuple[str, str]] = []
        #: What a checkpoint holds of objects that are tracked later.
        self.unclaimed: Dict[str, Any] = {}
        self._slots: Dict[str, Any] = {}
        self._put_back: Optional[PutBack] = None
        self._until: Optional[int] = launch.get("untilStep")
        self._until_epoch: Optional[int] = launch.get("untilEpoch")
        self._request: Optional[Dict[str, Any]] = None
        self._polled = 0.0
        # Reasons for checkpoints that wait for the end of the epoch.
        self._due_later: List[str] = []
        self._is_first_step = True
        self._boundary_is_due = False
        self._same_params = True

    @property
    def epoch(self) -> int:
        return self.position.epoch

    def is_mine(self) -> bool:
        return os.getpid() == self.pid and (self.session is not None or self.group.rank != 0)

    # ---- the beginning ----

    def restore(self, saved: Dict[str, Any], schedule: Optional[str]) -> None:
        """Goes on from a checkpoint.

        Raises:
            ResumeError: Weights or optimizer state do not fit. Nothing was changed.
        """
        own = saved["trainstash"]
        self._slots = own["slots"]
        self.unclaimed = {key: value for key, value in saved.items() if key != "trainstash" and key not in self.tracked.objects}
        saved = fit(saved, self.tracked, own["slots"], self.group)
        own = saved["trainstash"]
        losses = self.tracked.restore(saved, own["slots"], schedule)
        self.steps, self.seed = own["step"], own["seed"]
        self.vars.update(own["vars"])
        self.best.value = own["best"]
        self.states.load(own.get("state", {}))
        self.position.restore(own)
        self.gradients.are_given_up = bool(own.get("clears_gradients"))
        self._same_params = own["params"] == plain_params(self.params)
        for done in self.tracked.apply_options(own["params"], self.params):
            say(done)
            self.notice("params", "info", f"{done}.")
        for kind, name, why in [*losses, *self.tracked.differences()]:
            self.lose(kind, name, why)
        self._put_back = PutBack(own, (self.rank, self.world), self.random.generators(), self.lose)
        self._put_back.note(self.tracked)
        self.random.resume(own, self.rank)
        self._put_back.after_init(self.seed, self.steps)
        self._note_detours(own)
        self.saver.saved_at = self.steps
        self.group.start_at(self.steps)
        self.resumed = True

    def _note_detours(self, own: Mapping[str, Any]) -> None:
        """A resume that went without something is another training from there on."""
        texts = list(own.get("detours", []))
        if own.get("went_without"):
            texts.append(f"the resume from step {self.steps:,} went without {'; '.join(own['went_without'])}")
        for text in texts:
            self.detours.append(("other", text))
            self.lose("other", text, "")

    def begin(self) -> None:
        """The script is about to train."""
        self.random.begin()
        if self.session is None or self.rank != 0:
            return
        session = self.session
        facts = environment(self.group)
        resume = session.launch.get("resume")
        self.policy = Policy(session.launch.get("checkpoint") or {}, self.steps)
        self.checkpoints = Checkpoints(session, facts, resume["checkpoint"] if resume else None, self.tracked)
        session.event(
            "started",
            step=self.steps,
            epoch=self.epoch,
            totalSteps=None,
            stepsPerEpoch=None,
            environment=facts,
            monitor=session.launch.get("monitor"),
            keep=session.launch.get("keep"),
            params=plain_params(self.params),
            cooperative=True,
        )
        self.ending.watch()

    # ---- what the script does ----

    def epochs(self, n: int) -> Iterator[int]:
        left = self.position.begin_epochs(n, self._same_params)
        if left is None:
            return
        self._enter(begins_epoch=self.position.resumes_inside)
        self.over = False
        self._say_plan()
        for epoch in left:
            self.position.begin_epoch(epoch)
            self.random.epoch_begins()
            try:
                yield epoch
            except GeneratorExit:
                self._left_epochs()
                raise
            self._epoch_done(is_last=epoch == left[-1])
        if self.is_mine():
            self.position.end_epochs(early=False)
            self.ending.finish(self._take_due())

    def batches(self, loader: Any, limit: Optional[int], endless: bool) -> Any:
        def make(key: str) -> Batches:
            return Batches(self, loader, key, limit, endless)

        if not self.is_mine():
            return loader if limit is None and not endless else make("0")
        return self.position.wrap(caller(), loader, make, limit, endless)

    def step(self, metrics: Mapping[str, Any]) -> None:
        if not self.is_mine():
            return
        self.steps += 1
        self.position.stepped()
        self.gradients.stepped()
        if metrics:
            self.metrics.log(self.steps, self.position.epoch, metrics)
        if self._is_first_step:
            self._first_step()
        if self.progress.stepped():
            self._say_plan()
        if self.position.open and self.position.open[-1].stepped:
            self._boundary_is_due = True  # What follows in this round belongs to the step.
        else:
            self._boundary()

    def log(self, metrics: Mapping[str, Any]) -> None:
        if not self.is_mine():
            return
        values = self.metrics.log(self.steps, self.position.epoch, metrics)
        if self.checkpoints is None or self.is_replay or self.watch.diverged or not self.best.judge(values) or not self.policy.on_best:
            return
        if self.position.open:
            self._boundary_is_due = True
        elif not (self.group.several or self._has_to_wait() or self.gradients.were_touched_since_step()):
            self.saver.take(["best"])

    def checkpoint(self, tag: Optional[str]) -> None:
        if self.is_mine() and self.checkpoints is not None:
            self.saver.take(["request"], wait=True, tag=tag)

    def track(self, more: Mapping[str, Any]) -> None:
        self.tracked.add(more)
        saved = {name: self.unclaimed.pop(name) for name in more if name in self.unclaimed}
        saved = fit(saved, self.tracked, self._slots, self.group)
        for kind, name, why in self.tracked.restore(saved, self._slots, None, list(saved)) if saved else []:
            self.lose(kind, name, why)

    def state(self, values: Mapping[str, Any]) -> State:
        return self.states.give(site_of(caller()).key, values, restore=self._put_back is not None)

    def steps_are_asked_for(self) -> None:
        """A script that keeps the loop itself asks where it stands; then it trains."""
        if self._put_back is None or self.position.is_replaying or self.position.resumes_inside:
            return
        frame = caller()
        source = source_of(frame) if frame is not None else None
        if frame is None or source is None or is_loop_head(frame, source):
            self._enter(begins_epoch=False)

    # ---- what loaders tell ----

    def entered(self, loader: Batches) -> None:
        if self._due_later and not self.position.inside and not self.position.open and not self.group.several:
            # A loop without epochs begins its next round.
            self.saver.take(self._take_due())
        was_replaying = self.position.is_replaying
        problem = self.position.entered(loader)
        if problem is not None:
            self.lose("data", f"the data of {loader.where}", problem)
        if not was_replaying:
            self._enter(begins_epoch=False)

    def received(self, loader: Batches) -> None:
        self.saver.delivered = self.gradients.mark()
        if self._is_first_step:
            self.surroundings.look(caller())

    def asked(self, loader: Batches) -> None:
        if self._boundary_is_due and loader.stepped:
            self._boundary()

    def left(self, loader: Batches) -> None:
        kind = sys.exc_info()[0]
        # Above this function: the loader's generator, and what gives it up.
        in_order = kind is None or (kind is GeneratorExit and was_left_in_order(caller()))
        if not in_order:
            self.ending.break_off()
        self.position.left(loader, in_order)
        if self._boundary_is_due and self.position.standing() == TAIL and not self.group.several:
            self._boundary()

    def at_place(self) -> None:
        if self._put_back is None:
            return
        self._set(self._put_back, begins_epoch=False)
        if not self.position.is_replaying:
            self._arrived()

    # ---- inside ----

    def _is_kept(self, value: Any) -> bool:
        """Whether a checkpoint has it without being asked to: ours, and what ``run.state`` gave."""
        return self.states.owns(value) or type(value).__module__.startswith("trainstash.")

    def lose(self, kind: str, name: str, why: str, line: Optional[str] = None) -> None:
        """A part that no checkpoint of this launch will have; said once."""
        if self.lost.lost(kind, name, why, line):
            text = sentence({"kind": kind, "name": name, "why": why, "line": line})
            self.notice("partial", "warning", f"Not complete: {text}.")

    def notice(self, code: str, level: str, text: str) -> None:
        if self.session is not None:
            self.session.notice(code, level, text, self.steps)

    def _enter(self, begins_epoch: bool) -> None:
        """What was drawn and set on the way from ``init`` to the loop is put back."""
        if self._put_back is None:
            return
        self._set(self._put_back, begins_epoch)
        if not self.position.is_replaying:
            self._arrived()

    def _set(self, put_back: PutBack, begins_epoch: bool) -> None:
        changed = put_back.enter(self.tracked, self.states, self.vars, self.gradients, begins_epoch)
        if changed:
            say(f"what the script did to {', '.join(changed)} between init and the loop was undone: the checkpoint has its own")

    def _arrived(self) -> None:
        self._put_back = None
        self.states.at_place()

    def _first_step(self) -> None:
        self._is_first_step = False
        self.surroundings.look(caller())
        self.progress.last_step = self.surroundings.last_step
        if self._put_back is not None:
            self._put_back = None
            self.lose("random", "random numbers", "they were not put back, since the package does not see where the loop begins; use run.epochs or run.batches")
        if self.checkpoints is not None and not self.is_replay:
            # By now the optimizer has its slots.
            self.checkpoints.prepare(self.tracked.state())

    def _say_plan(self) -> None:
        news = self.progress.news(self.steps)
        if news and self.session is not None and self.rank == 0 and self.is_mine():
            self.session.event("plan", totalSteps=news[0], stepsPerEpoch=news[1])

    def _epoch_done(self, is_last: bool) -> None:
        """The whole body of an epoch has run: the true boundary."""
        if not self.is_mine():
            self.position.end_epoch()
            return
        self.progress.epoch_ends()
        for unread in self.position.end_epoch():
            self.lose("data", f"the place in loader {unread}", "it was not read again after the resume")
        self._say_plan()
        reasons: List[str] = []
        decision = _NOTHING
        if self.checkpoints is not None and self.rank == 0:
            decision, reasons = self._due_after_epoch()
        if self.group.several:
            decision, reasons = self.group.share((decision, reasons))
        if decision == _SAVE and is_last:
            self._due_later = reasons  # The loop's end is taken right away.
        else:
            self._act(decision, reasons)

    def _due_after_epoch(self) -> Any:
        if self.is_replay:
            exact = self._until_epoch is not None and self.epoch >= self._until_epoch and self.steps >= (self._until or 0)
            return (_DONE if exact else _NOTHING), []
        reasons = [*self._take_due(), *self.policy.due_at_epoch(self.epoch), *(["best"] if self.best.is_waiting else [])]
        if self.watch.diverged:
            reasons = []  # It would push out good ones.
        if reasons == ["epoch"] and self.saver.has_this_boundary():
            reasons = []  # The script has just taken it by itself.
        asked = self._asked()
        return (asked if asked != _NOTHING else _SAVE if reasons else _NOTHING), list(dict.fromkeys(reasons))

    def _left_epochs(self) -> None:
        """A loop over epochs is given up before its end."""
        if not self.is_mine():
            return
        if not was_left_in_order(caller()) or self.ending.was_broken_off():
            self.ending.break_off()
            return
        self.position.end_early()
        self.position.end_epochs(early=True)
        if not self.group.several:
            self.ending.finish([*self._take_due(), *(["best"] if self.best.is_waiting else [])])

    def _boundary(self) -> None:
        """Between two steps: what is due, and what was asked for."""
        self._boundary_is_due = False
        if self.group.several and not self.group.may_decide(self.steps):
            return
        reasons: List[str] = []
        decision = _NOTHING
        if self.rank == 0 and self.checkpoints is not None:
            reasons = [] if self.is_replay or self.watch.diverged else [*self._due_later, *self.policy.due(self.steps)]
            if self.best.is_waiting:
                if self.best.is_of_these_weights():
                    reasons.append("best")
                elif not self._has_to_wait():
                    self.best.give_up()
            decision = self._asked()
            if decision == _NOTHING and reasons:
                decision = _SAVE
            if decision == _SAVE and self._request is None and self.checkpoints.in_flight:
                decision = _NOTHING  # One at a time: it is due again at the next step.
            if decision in (_SAVE, _PAUSE, _STOP) and self._has_to_wait():
                self._due_later, decision = [one for one in dict.fromkeys(reasons) if one != "best"], _NOTHING
        decision = self.group.decide(self.steps, decision, self._until or self.policy.next_step(self.steps))
        if decision != _NOTHING:
            self._due_later = []
            self._act(decision, list(dict.fromkeys(reasons)))

    def _has_to_wait(self) -> bool:
        """Whether the true boundary comes right after this step: a resume from here would run the epoch's end alone."""
        if self.ending.interrupted is not None:
            return False  # Who terminates a process does not wait for a validation.
        standing = self.position.standing()
        return standing in (AT_END, TAIL) or (standing == UNSEEN and self.position.steps_in_epoch <= 1)

    def _act(self, decision: int, reasons: List[str]) -> None:
        if decision in (_PAUSE, _STOP):
            request, self._request = self._request, None
            self.ending.leave(decision == _PAUSE, request)
        elif decision == _DONE:
            self.ending.replayed()
        elif decision == _LEAVE:
            self.ending.leave_unsaved()
        elif decision == _SAVE:
            request, self._request = self._request, None
            self.saver.take([*reasons, *(["request"] if request else [])])
            if request and self.session is not None:
                self.session.answer(request, self.steps)

    def _take_due(self) -> List[str]:
        reasons, self._due_later = self._due_later, []
        return reasons

    def _asked(self) -> int:
        if self.ending.interrupted is not None:
            return _PAUSE
        if self.is_replay:
            at = self._until is not None and self.steps >= self._until
            exact = at and (self._until_epoch is None or (not self.position.inside and not self.position.open))
            return _DONE if exact else _NOTHING
        if self.watch.pause is not None:
            # A diverged state is not saved: going on from it is of no use.
            return _LEAVE if self.watch.diverged else _PAUSE
        now = time.monotonic()
        if self._request is None and self.session is not None and now - self._polled >= _POLL_SECONDS:
            self._polled = now
            self._request = self.session.request()
        request = self._request
        if request is None:
            return _NOTHING
        if request.get("stop"):
            return _STOP
        return _PAUSE if request.get("pause") else _SAVE
