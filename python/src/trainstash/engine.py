"""A training behind its façade: the loop's events, and what is done between two steps."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from .best import Best
from .boundary import Boundary
from .cells import arm
from .checkpoints import Checkpoints
from .data import Batches
from .distributed import Group, is_on_device, order_of_sums
from .ending import Ending
from .environment import environment, plain_params
from .fingerprints import Difference, Fingerprints
from .gradients import Gradients
from .ingredients import LOST, Ingredients, sentence
from .left_out import NOT_LEFT_OUT, left_out_of
from .metrics import Metrics
from .modes import Modes
from .policy import Policy
from .position import TAIL, Position
from .progress import Progress
from .putback import PutBack, detours_of
from .randomness import Randomness
from .resharding import fit
from .saving import Saver
from .scopes import is_loop_head, source_of
from .script import NOWHERE, caller, site_of, was_left_in_order
from .session import Session, say
from .state import State, States
from .surroundings import Surroundings, way_to
from .tracked import Tracked
from .watch import Watch


class Engine:
    """The training of one launch. On other ranks than 0 it decides and writes nothing; one that is not recorded passes things through."""

    def __init__(
        self, session: Optional[Session], launch: Mapping[str, Any], tracked: Tracked, params: Dict[str, Any], group: Group,
        is_recorded: bool = False, before: Optional[Engine] = None,
    ) -> None:  # fmt: skip
        self.pid = os.getpid()
        self._is_recorded = is_recorded
        self.session, self.launch = session, launch
        self.tracked = tracked
        self.group = group
        self.params = params
        #: ``run.vars``; the script keeps it when the run goes on in the same process.
        self.vars: Dict[str, Any] = before.vars if before else {}
        self.steps = 0
        self.resumed = False
        self.seed = int(launch.get("seed") or 0)
        self.rank: int = group.rank
        self.world: int = group.world
        #: True once the loop has come to its end.
        self.over = False
        self.is_replay = launch.get("purpose") == "verify"
        self.position = Position()
        self.states: States = before.states if before else States()
        self.watch = Watch(launch)
        self.metrics = Metrics(session, self.watch, self.is_replay)
        self.gradients = Gradients(tracked.objects)
        self.best = Best(launch.get("monitor"), self.gradients)
        self.progress = Progress(self.position)
        self.checkpoints: Optional[Checkpoints] = None
        #: The parts that no checkpoint of this launch has, whatever else it has.
        self.lost = Ingredients()
        self.random = Randomness(tracked)
        self.modes = Modes(tracked)
        self.surroundings = Surroundings(tracked, self._is_kept)
        self.saver = Saver(self)
        self.ending = Ending(self)
        self.boundary = Boundary(self)
        self.prints = Fingerprints(session.path if session else None, tracked.objects, self._differs)
        #: Resumes that were not exact, each with the reason.
        self.detours: List[Tuple[str, str]] = []
        self.unclaimed: Dict[str, Any] = {}  # The parts that belong to objects which are tracked later.
        self._slots: Dict[str, Any] = {}
        self._put_back: Optional[PutBack] = None
        self._is_first_step = True
        self._left_out = left_out_of(self.launch)
        self._same_params = True

    @property
    def epoch(self) -> int:
        return self.position.epoch

    def is_mine(self) -> bool:
        return os.getpid() == self.pid and self._is_recorded and not self.ending.is_closed

    def current(self) -> Engine:
        """Returns the engine that trains: another one, when the run goes on after the end of this one's session."""
        return self.ending.heir() if self.ending.is_closed else self

    # ---- the beginning ----

    def restore(self, saved: Dict[str, Any], schedule: Optional[str], before: Optional[str] = None, again: Optional[Callable[[], Any]] = None) -> None:
        """Goes on from a checkpoint.

        Args:
            saved: The content of the checkpoint.
            schedule: The answer to a schedule of another length.
            before: Folder of the session that took it, where it is known: what that noted afterwards is compared.
            again: Reads the checkpoint once more, if the script changes what was loaded on its way to the loop.

        Raises:
            ResumeError: Weights or optimizer state do not fit. Nothing was changed.
        """
        own = saved["trainstash"]
        self._slots = own["slots"]
        self.unclaimed = {key: value for key, value in saved.items() if key != "trainstash" and key not in self.tracked.objects}
        saved = fit(saved, self.tracked, own["slots"], self.group)
        own = saved["trainstash"]
        losses = self.tracked.restore(saved, own["slots"], schedule)
        self.steps, self.seed, self.best.value = own["step"], own["seed"], own["best"]
        self.vars.update(own["vars"])
        self.states.load(own.get("state", {}))
        self.position.restore(own)
        self.gradients.remember(own.get("clears_gradients"))
        self._same_params = own["params"] == plain_params(self.params)
        self._left_out.resume(own)
        for done in self.tracked.apply_options(own["params"], self.params):
            say(done)
            self.notice("params", "info", f"{done}.")
        for kind, name, why in [*losses, *self.tracked.differences()]:
            self.lose(kind, name, why)
        self._put_back = PutBack(own, (self.rank, self.world), self.random.generators(), self.lose)
        fresh = again and (lambda: self.tracked.restore(fit(again(), self.tracked, own["slots"], self.group), own["slots"], schedule))
        self._put_back.note(self.tracked, fresh)
        self.random.resume(own, self.rank)
        self._put_back.after_init(self.seed, self.steps)
        for text in detours_of(own, self.steps):
            self.detours.append(("other", text))
            self.lose("other", text, "")
        # Rank 0 noted them: the batches and random numbers of other ranks are others.
        if before is not None and self._same_params and self.rank == 0 and not self._left_out.is_due:
            self.prints.resume(before, self.steps)
        self.saver.saved_at = self.steps
        self.saver.resumed_inside = any(not one["done"] for one in own.get("passes", []))
        self.group.start_at(self.steps)
        self.resumed = True

    def begin(self) -> None:
        """Begins the launch: the script is about to train."""
        self.random.begin()
        self.modes.note()
        if self.session is None or self.rank != 0:
            return
        session = self.session
        facts = environment(self.group)
        self.boundary.policy = Policy(session.launch.get("checkpoint") or {}, self.steps)
        self.checkpoints = Checkpoints(session, facts, (session.launch.get("resume") or {}).get("checkpoint"), self.tracked, self.tracked.is_of_arrays)
        session.event(
            "started", step=self.steps, epoch=self.epoch, totalSteps=None, stepsPerEpoch=None, environment=facts,
            monitor=session.launch.get("monitor"), keep=session.launch.get("keep"), params=plain_params(self.params), cooperative=True,
        )  # fmt: skip
        self.ending.watch()

    # ---- what the script does ----

    def epochs(self, n: int) -> Iterator[int]:
        left = self.position.begin_epochs(n, self._same_params)
        if left is None:
            return
        self._enter(begins_epoch=self.position.resumes_inside)
        self.over = False
        arm(self)
        self._say_plan()
        for epoch in left:
            self.position.begin_epoch(epoch)
            self.random.epoch_begins()
            self.modes.epoch_begins()
            try:
                yield epoch
            except GeneratorExit:
                self._left_epochs()
                raise
            self._epoch_done(is_last=epoch == left[-1])
        if self.is_mine():
            self.position.end_epochs(early=False)
            self.ending.finish(self.boundary.take_due())

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
        if self.gradients.has_missed:
            self.saver.take_again()
        values = self.metrics.log(self.steps, self.position.epoch, metrics) if metrics else {}
        self.prints.stepped(self.steps, values)
        if self._is_first_step:
            self._first_step()
        if self.progress.stepped():
            self._say_plan()
        if self.position.open and self.position.open[-1].stepped:
            self.boundary.is_due = True  # The code that follows in this round belongs to the step.
        else:
            self.boundary.between_steps()

    def log(self, metrics: Mapping[str, Any]) -> None:
        if not self.is_mine():
            return
        values = self.metrics.log(self.steps, self.position.epoch, metrics)
        self.prints.logged(self.steps, values)
        if self.checkpoints is None or self.is_replay or self.watch.diverged:
            return
        if not self.best.judge(values) or not self.boundary.policy.on_best:
            return
        if self.position.open:
            self.boundary.is_due = True
        elif not (self.group.several or self.boundary.has_to_wait() or self.gradients.were_touched_since_step()):
            self.saver.take(["best"])

    def checkpoint(self, tag: Optional[str]) -> None:
        if not self.is_mine() or self.checkpoints is None:
            return
        if self.group.several:
            # A script may ask on one rank alone: to meet the others here would be to wait for ever.
            self.boundary.ask(["request", *([f"tag:{tag}"] if tag else [])])
        else:
            self.saver.take(["request"], wait=True, tag=tag)

    def track(self, more: Mapping[str, Any]) -> None:
        self.tracked.add(more)
        self.modes.note()
        saved = {name: self.unclaimed.pop(name) for name in more if name in self.unclaimed}
        saved = fit(saved, self.tracked, self._slots, self.group)
        for kind, name, why in self.tracked.restore(saved, self._slots, None, list(saved)) if saved else []:
            self.lose(kind, name, why)

    def state(self, values: Mapping[str, Any]) -> State:
        return self.states.give(site_of(caller()).key, values, restore=self._put_back is not None)

    def steps_are_asked_for(self) -> None:
        """Enters the loop of a script that keeps it itself: such a script asks where it stands, and then it trains."""
        if self._put_back is None or self.position.is_replaying or self.position.resumes_inside:
            return
        frame = caller()
        source = source_of(frame) if frame is not None else None
        if frame is None or source is None or is_loop_head(frame, source):
            self._enter(begins_epoch=False)

    # ---- what loaders tell ----

    def entered(self, loader: Batches) -> None:
        way = NOWHERE
        if not self.position.inside and not self.position.open:
            way = way_to(caller())
            self.position.comes_to(way)
            self.boundary.before_round()
        was_replaying = self.position.is_replaying
        problem = self.position.entered(loader, way)
        if problem is not None:
            self.lose("data", f"the data of {loader.where}", problem)
        if not self.position.is_replaying:
            self._left_out.begins_at(loader)
            if self._put_back is not None and self.surroundings.is_over_at(caller(), self.steps):
                loader.end()  # The script ends its loop behind the step; a resume stands before that line.
        if not was_replaying:
            self._enter(begins_epoch=False)
        arm(self)

    def received(self, loader: Batches, batch: Any) -> None:
        self.saver.delivered = self.gradients.mark()
        self.metrics.waits.received(loader)
        if self.prints.is_noting:
            self.prints.received(batch)
        if self._is_first_step:
            self.surroundings.look(caller())
            self.modes.loop_begins()

    def asked(self, loader: Batches) -> None:
        self.boundary.asked(loader.stepped)

    def left(self, loader: Batches) -> None:
        if self.ending.is_closed:
            return
        kind = sys.exc_info()[0]
        # Above this function: the loader's generator, and what gives it up.
        in_order = kind is None or (kind is GeneratorExit and was_left_in_order(caller()))
        if not in_order:
            self.ending.break_off()
        self.position.left(loader, in_order)
        if self._put_back is not None and not self.position.is_replaying:
            # The checkpoint's place is behind a loader that was read to its end, and perhaps right before another.
            self._set(self._put_back, begins_epoch=False)
        if self.boundary.is_due and self.position.standing() == TAIL and not self.group.several:
            self.boundary.between_steps()

    def at_place(self) -> None:
        for loader in self.position.open if self._same_params else []:
            if loader.gave_others:
                self._differs(Difference(self.steps, "data", f"the data of {loader.where} is another: {loader.lacks}"))
        self._enter(begins_epoch=False)

    # ---- inside ----

    def _is_kept(self, value: Any) -> bool:
        """Tells whether a checkpoint has a value without being asked to: ours, and what ``run.state`` gave."""
        return self.states.owns(value) or type(value).__module__.startswith("trainstash.")

    def lose(self, kind: str, name: str, why: str, line: Optional[str] = None) -> None:
        """Notes a part that no checkpoint of this launch will have; says so once."""
        if self.lost.lost(kind, name, why, line):
            text = sentence({"kind": kind, "name": name, "why": why, "line": line})
            self.notice("partial", "warning", f"Not complete: {text}.")

    def notice(self, code: str, level: str, text: str) -> None:
        if self.session is not None:
            self.session.notice(code, level, text, self.steps)

    def _differs(self, difference: Difference) -> None:
        """Reports that a resume computes something else than what was recorded."""
        step, kind, text = difference
        causes = [sentence(record) for record in self.lost.records() if record["state"] == LOST and record["kind"] in (kind, "other")]
        text = f"{text} ({causes[0]})" if causes and causes[0] not in text else text
        self.notice("notReproduced", "warning", f"Computed again after the resume, {text}.")
        say(f"computed again after the resume, {text}")
        if kind == "other" and is_on_device(self.tracked.objects.values()):
            return  # Sums of a GPU may come out in another order; `verify` tells.
        self.lost.lost(kind, text, "")
        if self.session is not None:
            self.session.event("diverged", step=step, ingredient=kind, text=text)

    def _enter(self, begins_epoch: bool) -> None:
        """Puts back what was drawn and set on the way from ``init`` to the loop."""
        if self._put_back is not None:
            self._set(self._put_back, begins_epoch)
            if not self.position.is_replaying:
                self._arrived()
        self.gradients.begin()

    def _set(self, put_back: PutBack, begins_epoch: bool) -> None:
        changed = put_back.enter(self.tracked, self.states, self.vars, self.gradients, begins_epoch)
        self.modes.put_back({} if begins_epoch else put_back.modes)
        if changed:
            say(f"what the script did to {', '.join(changed)} between init and the loop was undone: the checkpoint has its own")

    def _arrived(self) -> None:
        self._put_back = None
        self.states.at_place()

    def _first_step(self) -> None:
        self._is_first_step = False
        arm(self)
        self.surroundings.look(caller())
        self.progress.last_step = self.surroundings.last_step
        if self._put_back is not None:
            self._put_back = None
            self.lose("random", "random numbers", "they were not put back, since the package does not see where the loop begins; use run.epochs or run.batches")
        if self._left_out.is_due:
            self.notice("notLeftOut", "warning", NOT_LEFT_OUT)
        for lost in order_of_sums():
            self.lose(*lost)
        if self.checkpoints is not None and not self.is_replay:
            # The optimizer has its slots by now.
            self.checkpoints.prepare(self.tracked.state())

    def _say_plan(self) -> None:
        news = self.progress.news(self.steps)
        if news and self.session is not None and self.rank == 0 and self.is_mine():
            self.session.event("plan", totalSteps=news[0], stepsPerEpoch=news[1])

    def _epoch_done(self, is_last: bool) -> None:
        """Handles the true boundary: the whole body of an epoch has run."""
        if not self.is_mine():
            self.position.end_epoch()
            return
        self.progress.epoch_ends()
        for unread in self.position.end_epoch():
            self.lose("data", f"the place in loader {unread}", "it was not read again after the resume")
        self._say_plan()
        self.boundary.after_epoch(is_last)

    def _left_epochs(self) -> None:
        """Handles a loop over epochs that is given up before its end."""
        if not self.is_mine():
            return
        if not was_left_in_order(caller()) or self.ending.was_broken_off():
            self.ending.break_off()
            return
        self.position.end_early()
        self.position.end_epochs(early=True)
        if not self.group.several:
            self.ending.finish(self.boundary.take_due())

