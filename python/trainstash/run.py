"""A training, as the script sees it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

from . import rng
from .checkpoints import Checkpoints, Policy, is_better, plain_metrics
from .data import Batches
from .distributed import Group
from .environment import environment, plain_params
from .session import Session, say, wire_number
from .tracked import Tracked

_POLL_SECONDS = 0.1
# How long a training waits at its end for a disk that has no room for its last state.
_PATIENCE = 600.0
_PATIENCE_OF_SEVERAL = 60.0
_NOT_KEPT = "trained to the end, but its last state could not be written: resuming does again what came after the newest checkpoint"
_NOTHING, _SAVE, _PAUSE, _STOP, _DONE = 0, 1, 2, 3, 4


class Run:
    """Made by ``trainstash.init``. Without a session (a child process) it only passes things through."""

    def __init__(
        self,
        session: Optional[Session],
        launch: Mapping[str, Any],
        tracked: Tracked,
        params: Dict[str, Any],
        group: Group,
    ) -> None:
        self._pid = os.getpid()
        self._session = session
        self._tracked = tracked
        self._group = group
        self.params = params
        #: Values kept with every checkpoint: numbers, texts, lists and dicts of them.
        self.vars: Dict[str, Any] = {}
        #: Optimizer steps done, those before a resume included.
        self.steps = 0
        self.epoch = 0
        #: Whether this launch goes on from a checkpoint.
        self.resumed = False
        self.seed = int(launch.get("seed") or 0)
        self.rank = group.rank
        self.world = group.world
        self.over = False
        #: A folder for files of this run, the same in all of its launches.
        self.dir = str((launch.get("command") or {}).get("dir") or (os.path.join(session.path, "files") if session else os.getcwd()))
        self._total_epochs: Optional[int] = None
        self._loaders: List[Batches] = []
        self._by_id: Dict[int, Batches] = {}
        self._places: Dict[str, Any] = {}
        # Loaders that are being read, the innermost last, and the one that was trained on last.
        self._reading: List[Batches] = []
        self._trained_on: List[Batches] = []
        self._resumed_in: List[str] = []
        # What a checkpoint holds of objects that are tracked later.
        self._unclaimed: Dict[str, Any] = {}
        self._slots: Dict[str, Any] = {}
        self._saved_at = -1
        self._not_kept = False
        self._pending_rng: Optional[Dict[str, Any]] = None
        self._missing: List[str] = []
        self._notes: List[str] = []
        self._metrics: Dict[str, float] = {}
        self._late: List[Any] = []
        self._polled = 0.0
        self._interrupted: Optional[str] = None
        self._request: Optional[Dict[str, Any]] = None
        self._best: Optional[float] = None
        self._candidate: Any = None
        self._per_epoch: Optional[int] = None
        self._until = launch.get("untilStep")
        self._until_epoch = launch.get("untilEpoch")
        self._is_replay = launch.get("purpose") == "verify"
        self._policy = Policy(launch.get("checkpoint") or {}, 0)
        self._checkpoints: Optional[Checkpoints] = None
        self._first_step = True

    # ---- the loop ----

    def epochs(self, n: int) -> Iterator[int]:
        """Like ``range(n)``, from the epoch that a resumed run stands in."""
        self._total_epochs = n
        self._plan()
        for epoch in range(self.epoch, n):
            self.epoch = epoch
            yield epoch
            self.epoch = epoch + 1
        if self.is_mine():
            self.epoch = max(self.epoch, n)
            self._finish()

    def batches(self, loader: Iterable[Any]) -> Any:
        """The loader, from the batch that a resumed run stands at. Its order is a function of the run's seed."""
        if not self.is_mine():
            return loader
        known = self._by_id.get(id(loader))
        if known is not None and known.wraps(loader):
            return known
        made = Batches(self, loader, str(len(self._loaders)))
        self._loaders.append(made)
        self._by_id[id(loader)] = made
        saved = self._places.get(made.place.key)
        if saved is not None:
            lost = made.restore(saved, active=made.place.key in self._resumed_in)
            self._lacks(lost)
        self._lacks(made.lacks)
        return made

    def step(self, **metrics: Any) -> None:
        """Once after each ``optimizer.step()``: logs, takes checkpoints that are due, and pauses when asked."""
        if not self.is_mine():
            return
        self.steps += 1
        if metrics:
            self._log(metrics)
        self._candidate = None
        self._resumed_in = []
        if self._reading:
            # Several, when a loop zips them.
            self._trained_on = list(self._reading)
            for loader in self._reading:
                loader.stepped = True
        if self._first_step:
            self._first_step = False
            if self._checkpoints is not None and not self._is_replay:
                # By now the optimizer has its slots.
                self._checkpoints.prepare(self._tracked.state())
            self._plan()
        group = self._group
        if group.several and not group.may_decide(self.steps):
            return
        self._boundary()

    def log(self, **metrics: Any) -> None:
        """Metrics of this step, beside those of ``step``; the monitored one decides which checkpoint is the best."""
        if not self.is_mine():
            return
        values = self._log(metrics)
        self._judge(values)

    def checkpoint(self, tag: Optional[str] = None) -> None:
        """Takes a checkpoint of the present state and waits until it is written. Call it between two steps."""
        if not self.is_mine() or self._checkpoints is None:
            return
        self._take(["request"], wait=True, tag=tag)

    def track(self, **more: Any) -> None:
        """Objects made later. On a resume they are restored here."""
        self._tracked.add(more)
        saved = {name: self._unclaimed.pop(name) for name in more if name in self._unclaimed}
        if saved:
            self._lacks_all(self._tracked.restore(saved, self._slots, None, list(saved)))

    # ---- what loaders tell ----

    def is_mine(self) -> bool:
        return os.getpid() == self._pid and (self._session is not None or self._group.rank != 0)

    def entered(self, loader: Batches) -> None:
        self._reading.append(loader)

    def left(self, loader: Batches) -> None:
        """It was read to its end, or given up."""
        if loader in self._reading:
            self._reading.remove(loader)
        if loader.place.done and loader.stepped:
            if loader not in self._trained_on:
                self._trained_on = [loader]
            self._pass_done()

    def at_place(self) -> None:
        """The loader stands where the checkpoint was taken: what was drawn on the way there is put back."""
        if self._pending_rng is not None:
            self._lacks_all(rng.restore(self._pending_rng))
            self._pending_rng = None

    # ---- inside ----

    def _pass_done(self) -> None:
        """All of a loader was read: an epoch's code comes next. A checkpoint of this moment runs it again on a resume."""
        if self._checkpoints is None or self._is_replay or self._group.several:
            return
        reasons = self._policy.due_at_epoch(self.epoch + 1)
        if reasons and self._saved_at != self.steps:
            self._take(reasons)
        if self._checkpoints.monitor is not None and self._policy.on_best:
            # Whether it is the best the epoch's end will tell; then weights and random numbers may have moved on.
            try:
                self._candidate = (self._checkpoints.copy(self._live()), self._facts(["best"]))
            except Exception as error:
                self._notice("checkpointFailed", "error", f"The state could not be copied ({error}).")

    def _active(self) -> List[Batches]:
        """The loaders whose place counts: those that steps are done in, or those just read to their end."""
        inside = [loader for loader in self._reading if loader.stepped]
        # Once the next epoch has begun, it begins with passes of its own.
        ended = [one for one in self._trained_on if one.place.done and one.place.epoch == self.epoch and one not in inside]
        return [*ended, *inside]

    def _begin(self) -> None:
        if self._session is None or self.rank != 0:
            return
        session = self._session
        facts = environment(self._group)
        launch_resume = session.launch.get("resume")
        parent = launch_resume["checkpoint"] if launch_resume else None
        self._policy = Policy(session.launch.get("checkpoint") or {}, self.steps)
        self._checkpoints = Checkpoints(session, facts, parent, self._tracked)
        session.event(
            "started",
            step=self.steps,
            epoch=self.epoch,
            totalSteps=None,
            stepsPerEpoch=None,
            environment=facts,
            monitor=session.launch.get("monitor"),
            params=plain_params(self.params),
            cooperative=True,
        )
        for note in self._notes:
            session.notice("params", "info", f"{note}.", self.steps)
        for lost in self._missing:
            session.notice("partial", "warning", f"Not restored: {lost}.", self.steps)
        atexit.register(self._at_exit)
        try:
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._on_signal)
        except ValueError:
            pass  # Not the main thread: then the signal ends the process, as it would without us.

    def _restore(self, saved: Dict[str, Any], schedule: Optional[str]) -> None:
        own = saved["trainstash"]
        self._slots = own["slots"]
        self._unclaimed = {k: v for k, v in saved.items() if k != "trainstash" and k not in self._tracked.objects}
        lost = self._tracked.restore(saved, own["slots"], schedule)
        self.steps, self.epoch, self.seed = own["step"], own["epoch"], own["seed"]
        self.vars = own["vars"]
        self._best = own["best"]
        self._places = own["loaders"]
        self._resumed_in = list(own["active"])
        self._lacks_all(lost)
        states = own["rng"]
        if self.rank < len(states) and len(states) == self.world:
            self._pending_rng = states[self.rank]
            self._lacks_all(rng.restore(states[self.rank]))
        else:
            rng.seed_all(rng.mix(self.seed, "rank", self.rank, self.steps))
            self._lacks(f"the random numbers of {len(states)} processes, and there are {self.world} now")
        if not self._resumed_in:
            self._pending_rng = None
        for done in self._tracked.apply_options(own["params"], self.params):
            say(done)
            self._tell(done)
        self._lacks_all(self._tracked.differences())
        self._saved_at = self.steps
        self._group.start_at(self.steps)
        self.resumed = True

    def _notice(self, code: str, level: str, text: str) -> None:
        if self._session is not None:
            self._session.notice(code, level, text, self.steps)

    def _tell(self, text: str) -> None:
        self._notes.append(text)

    def _lacks(self, text: Optional[str]) -> None:
        if text is None or text in self._missing:
            return
        self._missing.append(text)
        if self._session is not None and self._checkpoints is not None:
            self._session.notice("partial", "warning", f"Not complete: {text}.", self.steps)

    def _lacks_all(self, texts: List[str]) -> None:
        for text in texts:
            self._lacks(text)

    def _plan(self) -> None:
        if self._session is None or self.rank != 0 or not self.is_mine():
            return
        if self._per_epoch is None and self._trained_on:
            try:
                self._per_epoch = min(len(loader) for loader in self._trained_on)
            except (TypeError, NotImplementedError):
                pass
        total = self._per_epoch * self._total_epochs if self._per_epoch and self._total_epochs else None
        self._session.event("plan", totalSteps=total, stepsPerEpoch=self._per_epoch)

    def _log(self, metrics: Mapping[str, Any]) -> Dict[str, float]:
        if self._session is None or self.rank != 0:
            return {}
        values: Dict[str, float] = {}
        parts = []
        for name, value in metrics.items():
            kind = type(value)
            if kind is not float and kind is not int:
                if getattr(value, "is_cuda", False):
                    # Read when the device has come that far: a training must not wait for its numbers.
                    self._late.append((self.steps, self.epoch, name, value.detach().clone()))
                    continue
                try:
                    value = float(value.item() if hasattr(value, "item") else value)
                except (TypeError, ValueError):
                    self._session.once(f"metric {name}", f"the metric {name} is no number and is left out")
                    continue
            values[name] = value
            # repr is the shortest text that gives the same bits back.
            shown = repr(value) if value - value == 0 else f'"{wire_number(value)}"'
            parts.append(f'"{_key(name)}":{shown}')
        if parts:
            self._session.emit("metrics", f'"step":{self.steps},"epoch":{self.epoch},"values":{{{",".join(parts)}}}')
            self._metrics.update(values)
        if self._late and self._late[0][0] < self.steps - 1:
            self._read_late()
        return values

    def _read_late(self) -> None:
        late, self._late = self._late, []
        by_step: Dict[Any, Dict[str, float]] = {}
        for step, epoch, name, value in late:
            by_step.setdefault((step, epoch), {})[name] = float(value.item())
        for (step, epoch), values in by_step.items():
            self._metrics.update(values)
            if self._session is not None:
                self._session.event("metrics", step=step, epoch=epoch, values=plain_metrics(values))

    def _judge(self, values: Mapping[str, float]) -> None:
        if self._checkpoints is None or self._checkpoints.monitor is None:
            return
        monitor = self._checkpoints.monitor
        value = values.get(monitor["metric"])
        if value is None or not is_better(monitor, value, self._best):
            return
        self._best = value
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            staged, facts = candidate
            self._checkpoints.save(staged, {**facts, "metrics": plain_metrics({**self._metrics, **values})})

    def _boundary(self) -> None:
        """Between two steps: what is due, and what was asked for."""
        reasons: List[str] = []
        decision = _NOTHING
        if self.rank == 0 and self._checkpoints is not None:
            reasons = [] if self._is_replay else self._policy.due(self.steps)
            decision = self._asked()
            if decision == _NOTHING and reasons:
                decision = _SAVE
            if decision == _SAVE and reasons and self._request is None and self._checkpoints.in_flight:
                decision = _NOTHING  # One at a time: it is due again at the next step.
        decision = self._group.decide(self.steps, decision, self._until or self._policy.next_step(self.steps))
        if decision == _NOTHING:
            return
        if decision in (_PAUSE, _STOP):
            self._end(decision)
        elif decision == _DONE:
            self._replayed()
        else:
            request, self._request = self._request, None
            self._take([*reasons, *(["request"] if request else [])], wait=False)
            if request and self._session is not None:
                self._session.answer(request, self.steps)

    def _asked(self) -> int:
        if self._interrupted is not None:
            return _PAUSE
        if self._is_replay:
            exact = self._until is not None and self.steps >= self._until and self._until_epoch is None
            return _DONE if exact else _NOTHING
        now = time.monotonic()
        if now - self._polled < _POLL_SECONDS or self._session is None:
            return _NOTHING
        self._polled = now
        request = self._session.request()
        if request is None:
            return _NOTHING
        self._request = request
        if request.get("stop"):
            return _STOP
        return _PAUSE if request.get("pause") else _SAVE

    def _take(
        self, reasons: List[str], wait: bool = False, tag: Optional[str] = None, patience: float = 0.0
    ) -> bool:
        """With ``wait``, whether it was kept, on rank 0."""
        if self._late:
            self._read_late()
        live = self._live()
        if self._checkpoints is None:
            return True
        before = time.perf_counter()
        try:
            staged = self._checkpoints.copy(live)
            stall = time.perf_counter() - before
            facts = self._facts([*reasons, *([f"tag:{tag}"] if tag else [])])
            self._checkpoints.save(staged, facts, wait=wait, patience=patience)
        except Exception as error:
            # Ours never fails a training: without memory for a copy, say, it goes on without this checkpoint.
            self._policy.taken(self.steps, 0)
            self._notice("checkpointFailed", "error", f"No checkpoint could be taken at step {self.steps} ({error}).")
            return False
        self._policy.taken(self.steps, stall)
        self._saved_at = self.steps
        return not (wait and self._checkpoints.failed)

    def _take_last(self, reasons: List[str]) -> None:
        """What is not kept now is lost with the process: other ranks may wait for this one, but not for long."""
        if not self._take(reasons, wait=True, patience=_PATIENCE_OF_SEVERAL if self._group.several else _PATIENCE):
            self._not_kept = True

    def _live(self) -> Dict[str, Any]:
        """All of it, live. Every rank comes here, since each has random numbers of its own."""
        states = self._group.gather(rng.capture())
        tracked = self._tracked.state() if self.rank == 0 else {}
        standing = self._active()
        active = [one.place.key for one in standing] or self._resumed_in
        loaders = {**self._places, **{one.place.key: one.state(one in standing) for one in self._loaders}}
        return {
            **tracked,
            **self._unclaimed,
            "trainstash": {
                "format": 1,
                "step": self.steps,
                "epoch": self.epoch,
                "seed": self.seed,
                "vars": self.vars,
                "best": self._best,
                "loaders": loaders,
                "active": active,
                "slots": self._tracked.slot_names() if self.rank == 0 else {},
                "made with": self._tracked.made_with(),
                "params": plain_params(self.params),
                "rng": states,
            },
        }

    def _facts(self, reasons: List[str]) -> Dict[str, Any]:
        standing = self._active()
        batch = standing[0].place.batch if standing else 0
        return {
            "step": self.steps,
            "epoch": self.epoch,
            "batch": batch,
            "reasons": reasons,
            "grade": "partial" if self._missing else "complete",
            "missing": list(self._missing),
            "metrics": plain_metrics(self._metrics),
            "data": self._fingerprint(),
        }

    def _fingerprint(self) -> Optional[Dict[str, Any]]:
        for batches in self._loaders:
            shape = batches.shape()
            if shape["samples"] is not None:
                text = f"{shape['samples']} samples, batches of {shape['size']}, {self.world} processes"
                return {"fingerprint": text, "samples": shape["samples"]}
        return None

    def _end(self, decision: int) -> None:
        """Saves and leaves. On rank 0 the file is whole before anyone is told."""
        name = "pause" if decision == _PAUSE else "stop"
        reason = self._interrupted or name
        kept = self._take(["signal" if self._interrupted else name], wait=True)
        session, request = self._session, self._request
        goes_on = self._group.share(decision == _PAUSE and not kept and self._interrupted is None)
        if goes_on:
            # To leave now would lose work.
            self._request = None
            if session is not None and request is not None and self.rank == 0:
                session.answer(request, self.steps)
            return
        outcome = "paused" if decision == _PAUSE else "stopped"
        if session is not None and self.rank == 0:
            if request is not None:
                session.answer(request, self.steps)
            session.write_exit(outcome, self.steps, f"after {reason}" if self._interrupted else "")
        self.over = True
        if "ipykernel" in sys.modules:
            raise KeyboardInterrupt(f"trainstash: {outcome} at step {self.steps}")
        # Not an Exception: a script that catches those must not train on.
        raise SystemExit(0)

    def _replayed(self) -> None:
        self._take_last(["end"])
        if self._session is not None and self.rank == 0:
            self._session.write_exit("completed", self.steps)
        self.over = True
        raise SystemExit(0)

    def _finish(self) -> None:
        """All epochs are done."""
        if self.over:
            return
        self._take_last(["end"])
        if self._is_replay and self._session is not None:
            self._session.write_exit("completed", self.steps)
        self.over = True

    def _on_signal(self, number: int, _frame: Any) -> None:
        if os.getpid() != self._pid:
            # A forked child has this handler too, and who terminates it waits for its end.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._interrupted = signal.Signals(number).name

    def _at_exit(self) -> None:
        if os.getpid() != self._pid:
            return
        if self._late:
            self._read_late()
        failure = getattr(sys, "last_value", None)
        if self._checkpoints is not None:
            # A loop that ended in its own way; after an error the weights may be in the middle of a step.
            unsaved = self._checkpoints.failed or self.steps > self._saved_at
            if not self.over and failure is None and not self._is_replay and unsaved and not self._group.several:
                self._take_last(["end"])
        session = self._session
        if session is None:
            return
        session.flush()
        if self._not_kept:
            session.write_exit("failed", self.steps, _NOT_KEPT)
        elif session.alone and not os.path.exists(session.file("exit.json")):
            session.write_exit(
                "failed" if failure is not None else "completed",
                self.steps,
                f"{type(failure).__name__}: {failure}" if failure is not None else "",
            )


_keys: Dict[str, str] = {}


def _key(name: str) -> str:
    """As JSON wants it, without the quotes."""
    known = _keys.get(name)
    if known is None:
        import json

        known = _keys[name] = json.dumps(name)[1:-1]
    return known
