"""Taking a checkpoint: the whole state as it is now, where a resume goes on from, and what it is made of."""

from __future__ import annotations

import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple
from weakref import WeakSet

from . import notebook, rng
from .codec import Walk
from .environment import plain_params
from .findings import EARLY_STEP, clause
from .going_on import Left
from .gradients import Mark
from .ingredients import LOST, Ingredients, sentence
from .kinds import NAMES, kind_of
from .loaders import with_workers_that_stay
from .position import AT_END, BETWEEN, INSIDE, TAIL, UNSEEN
from .randomness import of_all
from .script import caller
from .numbers import plain_metrics
from .session import say
from .sharded import Shards, same_everywhere
from .special import short
from .state import keepable
from .surroundings import ALONE, NOTHING, UNKNOWN
from .tracked import state_of

if TYPE_CHECKING:
    from .engine import Engine

_FORMAT = 2


class Saver:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The step of the newest checkpoint.
        self.saved_at = -1
        #: True: the newest checkpoint is the one that was resumed from, and stands inside of a pass.
        self.resumed_inside = False
        #: The marks of the tracked objects when the loop got its newest batch.
        self.delivered: Mark = []
        #: The newest checkpoint, for a session that goes on in the same kernel.
        self.left: Optional[Left] = None
        self._boundary: Optional[Tuple[int, int]] = None
        self._said: List[str] = []
        # Outside of epochs: other loaders are still to be read in this round of the script's own loop.
        self._more_follows = False
        # Loop variables that are only shown: a training goes the same way without them.
        self._harmless: List[Tuple[str, str]] = []
        # Accelerate starts workers while it prepares a loader, which a resume repeats before `init`.
        self._started_before: WeakSet[Any] = WeakSet(with_workers_that_stay())

    def has_this_boundary(self) -> bool:
        """Tells whether the newest checkpoint is of the end of the epoch that has just ended."""
        return self._boundary == (self._engine.steps, self._engine.epoch)

    def take(
        self, reasons: List[str], wait: bool = False, tag: Optional[str] = None, patience: float = 0.0, in_loop: bool = True
    ) -> bool:
        """Takes a checkpoint. Every rank comes here, since each has random numbers of its own.

        Args:
            reasons: Why, for the checkpoint's facts.
            wait: Come back when it is written.
            tag: A name to find it by.
            patience: Seconds for which writing is tried again.
            in_loop: The script's loop stands here; it does not when the process ends.

        Returns:
            With ``wait``, on rank 0: whether it was kept.
        """
        engine = self._engine
        engine.metrics.read_late()
        engine.prints.read_late()
        found = Ingredients()
        found.add(engine.lost)
        shards: Optional[Shards] = None
        try:
            frame = caller() if in_loop else None
            after_epoch, given_again = self._place(found, frame)
            self._note_surroundings(found, frame, after_epoch)
            live = self._live(found, after_epoch, given_again)
            shards = self._shards(found)
        except Exception as error:
            self._failed(error)
            return False
        if engine.rank != 0 and shards is not None:
            shards.serve()
        if engine.checkpoints is None or live is None:
            return True
        try:
            return self._save(live, shards, found, after_epoch, reasons, wait, tag, patience)
        finally:
            if shards is not None:
                shards.close()

    def take_again(self) -> None:
        """Asks for another checkpoint in place of the newest one, which lacks gradients that turned out to be needed."""
        engine = self._engine
        engine.gradients.has_missed = False
        engine.boundary.ask(["request"])
        why = f"The checkpoint of step {self.saved_at} was taken without the gradients of its step, which the script normally clears and did not clear this time"
        engine.notice("gradientsMissed", "warning", f"{why}: a resume from it is not exact. The next checkpoints have them; one is taken at once.")

    def hold(self, is_wanted: Callable[[], bool]) -> None:
        """Copies the state of now, and writes it as soon as it is wanted."""
        engine = self._engine
        assert engine.checkpoints is not None
        engine.metrics.read_late()
        try:
            found = Ingredients()
            found.add(engine.lost)
            frame = caller()
            after_epoch, given_again = self._place(found, frame)
            self._note_surroundings(found, frame, after_epoch)
            live = self._live(found, after_epoch, given_again)
            staged = engine.checkpoints.copy(live or {})
            if staged.is_copy:
                engine.checkpoints.hold(staged, self._facts(["signal"], found, after_epoch), is_wanted)
        except Exception as error:
            self._say_once(f"the state cannot be held during a validation ({error})")

    def _save(
        self,
        live: Dict[str, Any],
        shards: Optional[Shards],
        found: Ingredients,
        after_epoch: bool,
        reasons: List[str],
        wait: bool,
        tag: Optional[str],
        patience: float,
    ) -> bool:
        engine = self._engine
        assert engine.checkpoints is not None
        before = time.perf_counter()
        try:
            staged = engine.checkpoints.copy(live)
            stall = time.perf_counter() - before
            facts = self._facts([*reasons, *([f"tag:{tag}"] if tag else [])], found, after_epoch)
            engine.checkpoints.save(staged, facts, wait=wait, patience=patience, shards=shards)
        except Exception as error:
            self._failed(error)
            return False
        engine.boundary.policy.taken(engine.steps, stall)
        engine.prints.taken()
        self.saved_at, self.resumed_inside = engine.steps, False
        self.left = Left(live["trainstash"], engine.tracked) if notebook.shell() is not None else None
        self._boundary = (engine.steps, facts["epoch"]) if after_epoch or engine.position.standing() == BETWEEN else None
        if "best" in reasons:
            engine.best.taken()
        return not (wait and engine.checkpoints.failed)

    def _shards(self, found: Ingredients) -> Optional[Shards]:
        """Collects the parts that each process has to write; None where nothing is sharded. All ranks come here."""
        engine = self._engine
        if not engine.tracked.is_sharded():
            return None
        states = engine.tracked.state()
        for name, value in states.items():
            if kind_of(engine.tracked.objects[name]) == "weights":
                for key in same_everywhere(engine.group, value):
                    found.lost("weights", f"{name}.{key} of the other processes", "it differs between them; that of the first is kept")
        walk = Walk()
        left = engine.gradients.live() if engine.group.share(engine.gradients.are_left_over()) else {}
        walk.plan({**states, "trainstash": {"gradients": left}})
        return Shards(walk.sharded, engine.group)

    def _failed(self, error: Exception) -> None:
        """Ours never fails a training: without memory for a copy, say, it goes on without this checkpoint."""
        engine = self._engine
        engine.boundary.policy.taken(engine.steps, 0)
        engine.notice("checkpointFailed", "error", f"No checkpoint could be taken at step {engine.steps} ({error}).")

    def _place(self, found: Ingredients, frame: Optional[FrameType]) -> Tuple[bool, bool]:
        """Decides whether a resume begins the next epoch, and whether it is given the newest batch once more."""
        engine = self._engine
        position = engine.position
        standing = position.standing()
        if position.stopped_inside:
            return False, False
        if standing == UNSEEN and position.steps_in_epoch > 0:
            found.lost("data", NAMES["data"], "the loop inside of the epoch is not one of run.batches, and begins again")
        if standing == INSIDE:
            newest = position.open[-1]
            unused = newest.taken > newest.stepped_at and not engine.gradients.were_touched_since(self.delivered)
            return False, unused
        if standing not in (AT_END, TAIL):
            return False, False
        return self._place_at_end(found, frame, standing), False

    def _place_at_end(self, found: Ingredients, frame: Optional[FrameType], standing: str) -> bool:
        """Decides whether a resume from the end of an epoch begins the next one: what is still to come there can be done again by
        itself, or a resume leaves it out."""
        if frame is None:
            return standing == TAIL
        what, line = self._engine.surroundings.rest_of_epoch(frame)
        if what == NOTHING:
            return self._engine.position.inside
        if what == ALONE and standing == AT_END:
            return False
        if not self._engine.position.inside:
            return False
        why = "is skipped by a resume from here, which begins the next epoch"
        if what == UNKNOWN:
            why += "; what it does is not known, since the script's text cannot be read"
        found.lost("loop", "the rest of this epoch", why, line)
        return True

    def _note_surroundings(self, found: Ingredients, frame: Optional[FrameType], after_epoch: bool) -> None:
        """Notes what lives in the script's own variables."""
        engine = self._engine
        position = engine.position
        standing = position.standing()
        across = after_epoch or (position.planned is not None and not position.inside)
        self._harmless = []
        for one in engine.surroundings.lost(frame, across, position.batch()):
            found.lost(one.kind, one.name, one.why, one.line, one.code)
            if not one.matters:
                self._harmless.append((one.kind, one.name))
        if frame is not None and standing in (BETWEEN, INSIDE) and not across:
            line = engine.surroundings.rest_of_round(frame)
            if line is not None:
                found.lost("loop", "the rest of this round of the loop", clause(EARLY_STEP), line, EARLY_STEP)
        if any(one.is_done_with_steps for one in position.passes) and standing in (BETWEEN, INSIDE) and not across:
            line = engine.surroundings.done_again(frame, position.passes[0].way.lines)
            if line is not None:
                found.lost("loop", "the code between the loops over batches", "runs a second time on a resume from here", line)
        if any(one not in self._started_before for one in with_workers_that_stay()):
            why = "a loader with persistent_workers outside of run.batches draws once more on a resume; give it a generator of its own"
            found.lost("random", "torch's random numbers", why)
        self._more_follows = standing == BETWEEN and not across and engine.surroundings.are_more_loaders_to_come(frame)
        engine.gradients.clears_now_and_then = engine.surroundings.clears_now_and_then

    def _live(self, found: Ingredients, after_epoch: bool, given_again: bool) -> Optional[Dict[str, Any]]:
        """Collects the whole state, as it is. None where there is nothing that could be kept."""
        engine = self._engine
        states = engine.group.gather(engine.random.all())
        if engine.rank != 0:
            return {}
        values, refused = engine.states.saved()
        variables, refused_too = keepable(engine.vars)
        self._note_values(found, [*refused, *((f'run.vars["{name}"]', why) for name, why in refused_too)], bool(values or variables))
        own = {
            "format": _FORMAT,
            "step": engine.steps,
            "seed": engine.seed,
            "vars": variables,
            "state": values,
            "best": engine.best.value,
            **engine.position.saved(after_epoch, given_again, self._more_follows),
            "slots": engine.tracked.slot_names(),
            "made with": engine.tracked.made_with(),
            "params": plain_params(engine.params),
            "went_without": [],
            "detours": [name for _, name in engine.detours],
            "clears_gradients": engine.gradients.memory(),
            "modes": engine.modes.saved(),
            **of_all(states),
        }
        if engine.gradients.are_left_over():
            own["gradients"] = engine.gradients.live()
            found.kept("gradients", NAMES["gradients"])
        else:
            found.absent("gradients", NAMES["gradients"])
        engine.gradients.were_left_out()
        self._note_modes(found, engine.position.inside and not after_epoch)
        self._note_random(found, states)
        self._note_data(found)
        found.absent("callback", NAMES["callback"])
        state = {**self._tracked(found), **engine.unclaimed, "trainstash": own}
        own["went_without"] = self._lost_for_good(found)
        return state

    def _lost_for_good(self, found: Ingredients) -> List[str]:
        """Lists what makes a resume from here another training, which its own checkpoints then say as well."""
        lost = [record for record in found.records() if record["state"] == LOST]
        return [sentence(record) for record in lost if (record["kind"], record["name"]) not in [*self._harmless, *self._engine.detours]]

    def _tracked(self, found: Ingredients) -> Dict[str, Any]:
        """Collects the state of each tracked object. What a script's own ``state_dict`` raises costs that object alone."""
        state: Dict[str, Any] = {}
        engine = self._engine
        for name, value in engine.tracked.objects.items():
            kind = kind_of(value)
            try:
                state[name] = state_of(value)
                found.kept(kind, name)
            except Exception as error:
                why = f"its state cannot be read: {type(error).__name__}: {short(error)}"
                found.lost(kind, name, why)
                self._say_once(f"{name} is not kept, {why}")
                if engine.checkpoints is not None and engine.tracked.is_vital(name):
                    engine.checkpoints.say_useless(engine.steps, f"they are without {name} ({why})")
        for kind in ("weights", "optimizer", "schedule", "scaler"):
            # The variables around the loop were looked at: there is none.
            if not found.has(kind):
                found.absent(kind, NAMES[kind])
        return state

    def _note_values(self, found: Ingredients, refused: List[Tuple[str, str]], some: bool) -> None:
        for name, why in refused:
            found.lost("loop", name, f"is not kept: {why}")
            self._say_once(f"{name} is not kept with checkpoints: {why}")
        if some:
            found.kept("loop", NAMES["loop"])
        elif not refused and not found.has("loop"):
            found.absent("loop", NAMES["loop"])

    def _note_modes(self, found: Ingredients, inside_epoch: bool) -> None:
        engine = self._engine
        for (kind, name, why), is_refused in engine.modes.lost(inside_epoch):
            found.lost(kind, name, why)
            if is_refused and engine.checkpoints is not None:
                engine.checkpoints.say_useless(engine.steps, f"{name}: {why}")

    def _note_random(self, found: Ingredients, states: List[Dict[str, Any]]) -> None:
        each = f" of {len(states)} processes" if len(states) > 1 else ""
        for name in rng.names_in(states[0]["rng"]):
            found.kept("random", f"random numbers of {name}{each}")

    def _note_data(self, found: Ingredients) -> None:
        position = self._engine.position
        loaders = position.loaders()
        for loader in loaders:
            name = f"the data of {loader.where}"
            if loader.lacks is None:
                found.kept("data", name)
            elif loader.stepped or loader in position.open:
                found.lost("data", name, loader.lacks)
        if not loaders:
            found.absent("data", NAMES["data"])

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.append(text)
            say(text)

    def _facts(self, reasons: List[str], found: Ingredients, after_epoch: bool) -> Dict[str, Any]:
        engine = self._engine
        position = engine.position
        if "best" in reasons and not engine.best.is_of_these_weights():
            found.lost("weights", "the weights that were validated", "they were changed before the epoch ended")
        return {
            "step": engine.steps,
            "epoch": position.epoch + (1 if after_epoch and position.inside else 0),
            "batch": 0 if after_epoch else position.batch(),
            "reasons": reasons,
            "ingredients": found,
            "metrics": plain_metrics(engine.metrics.newest),
            "data": self._fingerprint(),
        }

    def _fingerprint(self) -> Optional[Dict[str, Any]]:
        for loader in self._engine.position.loaders():
            shape = loader.shape()
            if shape["samples"] is not None:
                content = f", {shape['content']}" if shape["content"] else ""
                text = f"{shape['samples']} samples, batches of {shape['size']}, {self._engine.world} processes{content}"
                return {"fingerprint": text, "samples": shape["samples"]}
        return None
