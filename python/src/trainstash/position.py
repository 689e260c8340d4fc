"""The place at which the loop stands: the epoch, the passes over loaders in it, and what a resume has to go through again to get there."""

from __future__ import annotations

import zlib
from types import FrameType
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from .data import Batches
from .script import Site, Way, is_for, site_of

#: No epoch or pass is open: the place is exact.
BETWEEN = "between"
#: A loader is being read.
INSIDE = "inside"
#: The newest batch of a loader was its last one: the code behind the loop comes next.
AT_END = "at end"
#: Loaders of this epoch were read, and the epoch's end is still to come.
TAIL = "tail"
#: An epoch is open in which no loader was read that the package knows.
UNSEEN = "unseen"


class Pass:
    """One reading of a loader. ``ended`` is its place at the end, from which it is gone through again."""

    __slots__ = ("loader", "way", "outer", "ended", "was_done", "in_order")

    def __init__(self, loader: Batches, way: Way, outer: Optional[Batches]) -> None:
        self.loader = loader
        self.way = way
        #: The loader that was being read when this pass began, and how far.
        self.outer = (outer, outer.taken if outer else 0)
        self.ended: Optional[Dict[str, Any]] = None
        self.was_done = False
        #: True: it was read to its end, or left by ``break`` between two steps.
        self.in_order = False

    @property
    def is_open(self) -> bool:
        return self.ended is None

    @property
    def is_done_with_steps(self) -> bool:
        return self.ended is not None and self.loader.stepped


class Position:
    def __init__(self) -> None:
        #: Epochs done, those of earlier loops over epochs included; inside of an epoch its number.
        self.epoch = 0
        #: The number of epochs of the present or newest loop over them, and the number of those before it.
        self.planned: Optional[int] = None
        self.base = 0
        # Loops over epochs that were left for good, and whether the newest one was left early.
        self._calls = 0
        self._ended_early = False
        self._is_loop_over = False
        self._stays_ended = False
        # A pass outside of epochs is about to begin.
        self._comes_next = False
        self.inside = False
        #: The loop was left for good in the middle of a loader.
        self.stopped_inside = False
        self.steps_in_epoch = 0
        self._trail: List[Pass] = []
        self._slots: Dict[str, List[Batches]] = {}
        self._keys: Dict[str, str] = {}
        self._codes: Dict[str, int] = {}
        # The checkpoint's next pass of each loader, and the passes that are to be gone through.
        self._turns: Dict[str, int] = {}
        self._saved_keys: Dict[str, str] = {}
        self._saved_codes: Dict[str, int] = {}
        self._shapes: Dict[str, Any] = {}
        self._replay: List[Dict[str, Any]] = []
        # The newest pass that was gone through again, and how far it was then.
        self._resumed: Optional[Tuple[Pass, int]] = None
        self._calls_to_skip = 0
        self._steps_before = 0
        self._resumes_ended = False
        self._resumes_inside = False

    # ---- epochs ----

    def begin_epochs(self, n: int, same_params: bool) -> Optional[range]:
        """Begins a loop over ``n`` epochs, and returns those that are left of it. None: a loop after it was begun before the resume."""
        if self._calls_to_skip > 0:
            self._calls_to_skip -= 1
            return None
        if self._is_loop_over:
            self._is_loop_over = self._ended_early = False
            self._calls += 1
            self.base = self.epoch
        self.planned = n
        first = self.epoch - self.base
        if self._resumes_ended:
            self._resumes_ended = False
            if same_params:
                # It was left early by a rule of the script's own, which would find the same again.
                self._stays_ended = True
                return range(0)
        return range(min(first, n), n)

    def begin_epoch(self, number: int) -> None:
        self.epoch = self.base + number
        self.inside = True
        self.stopped_inside = self._resumes_inside = False
        self.steps_in_epoch, self._steps_before = self._steps_before, 0
        self._trail = []

    def end_epoch(self) -> List[str]:
        """Returns loaders that the checkpoint stood in and nobody read again, for people."""
        self.inside = False
        self.epoch += 1
        self._trail = []
        unread, self._replay = self._replay, []
        resumed, self._resumed = self._resumed, None
        if resumed is not None and resumed[0].was_done and resumed[0].loader.taken == resumed[1]:
            return []  # It was at its end, so that those beside it, as in a zip, had nothing to be read for.
        return [str(one["key"]) for one in unread]

    def end_early(self) -> None:
        """Ends a loop over epochs that the script has left. In the middle of a loader it stays there: with other params, such
        as more steps, a resume goes on from that batch."""
        newest = self._trail[-1] if self._trail else None
        if newest is not None and newest.ended is not None and not newest.was_done:
            newest.ended["done"] = False
            self.stopped_inside = True
        elif self.inside:
            self.end_epoch()

    def end_epochs(self, early: bool) -> None:
        """Ends a loop over epochs for good: the next one counts from 0 again."""
        self._ended_early = early or self._stays_ended
        self._stays_ended = False
        self._is_loop_over = True

    # ---- loaders ----

    def take_in(self, made: Batches) -> None:
        """Takes in a loader that an earlier session of this process has wrapped."""
        made.place.following = self._turns.get(made.place.key, 0)
        self._slots.setdefault(f"taken in {made.place.key}", []).append(made)

    def wrap(self, frame: Optional[FrameType], loader: Any, make: Callable[[str], Batches], limit: Optional[int], endless: bool) -> Batches:
        """Wraps the loader of this place in the script. One that is made anew takes the place of the one before it."""
        site = site_of(frame)
        self._codes[_function(site)] = zlib.crc32(frame.f_code.co_code) if frame else 0
        slots = self._slots.setdefault(site.key, [])
        for key, wrapped in self._slots.items():
            for made in wrapped:
                if made.wraps(loader, limit, endless) and not self._is_open(made):
                    if key != site.key:
                        self._keys.setdefault(f"{site.key}#0", made.place.key)
                    return made
        number = next((n for n in range(len(slots)) if slots[n].place.begun and not self._is_open(slots[n])), len(slots))
        before = slots[number].place if number < len(slots) else None
        key = before.key if before else self._key(site, number)
        made = make(key)
        made.where = site.shown
        made.place.following = before.following if before else self._turns.get(key, 0)
        slots[number : number + 1] = [made]
        return made

    def comes_to(self, way: Way) -> None:
        """Notes that a pass outside of epochs is about to begin. In a place that was read before, a new round of a loop begins;
        any other one follows what was read so far, and a resume goes through that again, reading nothing."""
        if any(one.way.text == way.text for one in self._trail):
            self._trail = []
        self._comes_next = True

    def entered(self, loader: Batches, way: Way) -> Optional[str]:
        """Begins a pass. Returns what could not be kept of the checkpoint's place in it, for people."""
        self._comes_next = False
        is_outermost = not self.inside and not self.open
        self._trail.append(Pass(loader, way, self.open[-1] if self.open else None))
        saved = self._next_replayed(way)
        if is_outermost:
            self.steps_in_epoch = 0
            if not self._replay:
                self.steps_in_epoch, self._steps_before = self._steps_before, 0
        if saved is None:
            return None
        loader.place.key = saved["key"]
        problem = loader.restore(saved, active=True)
        self._resumed = (self._trail[-1], loader.taken)
        return problem

    def _next_replayed(self, way: Way) -> Optional[Dict[str, Any]]:
        """Finds the saved pass that this one goes through again. Outside of epochs the script may leave out passes that were over."""
        if not self._replay:
            return None
        ways = [one.get("way") for one in self._replay]
        at = ways.index(way.text) if not self.inside and way.text in ways else 0
        saved = self._replay[at]
        del self._replay[: at + 1]
        return saved

    def left(self, loader: Batches, in_order: bool) -> None:
        mine = next((one for one in reversed(self._trail) if one.loader is loader and one.is_open), None)
        if mine is None:
            return
        mine.was_done = loader.place.done
        mine.in_order = in_order and (loader.taken == loader.stepped_at or loader.place.done)
        mine.ended = self._state_of(mine, given_again=False)
        mine.ended["done"] = True
        at = self._trail.index(mine)
        if any(one.is_open for one in self._trail[:at]):
            # It was read inside of another, which goes on.
            self._trail.remove(mine)

    def stepped(self) -> None:
        """Counts an optimizer step that was done."""
        self.steps_in_epoch += 1
        for one in self._trail:
            if one.is_open:
                one.loader.stepped = True
                one.loader.stepped_at = one.loader.taken

    @property
    def open(self) -> List[Batches]:
        """The loaders that are being read, the outermost first."""
        return [one.loader for one in self._trail if one.is_open]

    @property
    def passes(self) -> List[Pass]:
        """The passes of this epoch: those that are over, and those that are open."""
        return self._trail

    def loaders(self) -> List[Batches]:
        """Lists all loaders that the script has wrapped."""
        return [made for slots in self._slots.values() for made in slots]

    def was_left_in_order(self) -> bool:
        """Tells whether loaders were read, and each to its end or left by ``break`` between two steps."""
        return bool(self._trail) and not self.open and all(one.in_order for one in self._trail)

    @property
    def is_replaying(self) -> bool:
        """Tells whether the place of a checkpoint is still ahead."""
        return bool(self._replay)

    @property
    def resumes_inside(self) -> bool:
        """Tells whether the checkpoint's place is inside of an epoch, whose beginning the script does again."""
        return self._resumes_inside

    def standing(self) -> str:
        """Returns one of the five words above."""
        opened = [loader for loader in self.open if loader.stepped]
        if opened:
            nested = self._nested()
            innermost = [loader for loader in opened if loader not in nested]
            return AT_END if any(loader.is_at_end() for loader in innermost) else INSIDE
        if not self.inside:
            return BETWEEN
        if self.open:
            return INSIDE
        return TAIL if self._trail else UNSEEN

    def batch(self) -> int:
        """Batches of the epoch that are used up; 0: none, or all of them."""
        opened = self.open
        return opened[-1].taken if opened else 0

    # ---- in and out of a checkpoint ----

    def saved(self, after_epoch: bool, given_again: bool, more_follows: bool = False) -> Dict[str, Any]:
        """Returns what a checkpoint holds of the position.

        Args:
            after_epoch: A resume begins the next epoch, though this one's code has not ended yet.
            given_again: The newest batch is not used up.
            more_follows: Outside of epochs: other loaders are still to be read in this round of the script's own loop.
        """
        inside = self.inside and not after_epoch
        goes_on = not self.inside and (self.open or more_follows or self._is_behind())
        passes = self._trail if inside or goes_on else []
        return {
            "epoch": self.epoch + (1 if self.inside and after_epoch else 0),
            "base": self.base,
            "calls": self._calls,
            "ended": self._ended_early,
            "inside": inside,
            "steps_in_epoch": self.steps_in_epoch if inside or passes else 0,
            "passes": [*(one.ended or self._state_of(one, given_again) for one in passes), *self._replay],
            "loaders": {**self._unseen(), **{loader.place.key: loader.state(False) for loader in self.loaders()}},
            "sites": {**self._saved_keys, **self._keys},
            "codes": {**self._saved_codes, **self._codes},
        }

    def restore(self, own: Mapping[str, Any]) -> None:
        """Takes the place of a checkpoint, of this version or of an older one."""
        self.epoch = own["epoch"]
        self._turns = {key: int(one["turn"]) for key, one in own["loaders"].items()}
        self._shapes = {key: one["shape"] for key, one in own["loaders"].items()}
        if own["format"] == 1:
            # Passes that were read to their end were gone through again then, and the epoch's end after them.
            self._replay = [{**own["loaders"][key], "key": key} for key in own["active"] if key in own["loaders"]]
            self._resumes_inside = bool(self._replay)
            return
        self.base = own["base"]
        self._steps_before = own["steps_in_epoch"]
        self._calls = self._calls_to_skip = own["calls"]
        self._resumes_ended = own["ended"]
        self._resumes_inside = own["inside"]
        self._ended_early = own["ended"]
        self._replay = [dict(one) for one in own["passes"]]
        self._saved_keys = dict(own["sites"])
        self._saved_codes = dict(own["codes"])

    # ---- inside ----

    def _is_behind(self) -> bool:
        """Tells whether the script goes on behind a pass that it comes to once, or from one pass to another."""
        return bool(self._trail) and (self._comes_next or not self._trail[-1].way.is_in_loop)

    def _unseen(self) -> Dict[str, Any]:
        """Loaders of the checkpoint that this process has not made yet."""
        return {key: {"turn": turn, "batch": 0, "shape": self._shapes[key]} for key, turn in self._turns.items()}

    def _state_of(self, one: Pass, given_again: bool) -> Dict[str, Any]:
        loader = one.loader
        again = given_again if loader is self.open[-1] else loader in self._nested()
        return {"key": loader.place.key, "way": one.way.text, "done": False, **loader.state(True, given_again=again)}

    def _nested(self) -> List[Batches]:
        """Loaders whose newest batch is still in use, since another one is read for it. Those that are read side by side
        (zipped, or with ``next``) have used theirs up together."""
        found = []
        for one in self._trail:
            outer, taken = one.outer
            if not one.is_open or outer is None or outer.taken != taken:
                continue
            inner = one.loader
            if outer.asked_by != inner.asked_by and is_for(*inner.asked_by):
                found.append(outer)
        return found

    def _is_open(self, made: Batches) -> bool:
        return any(made is loader for loader in self.open)

    def _key(self, site: Site, number: int) -> str:
        full = f"{site.key}#{number}"
        known = self._saved_keys.get(full) or self._moved(site, number)
        if known is None:
            known = str(len({*self._turns, *self._keys.values(), *self._saved_keys.values()}))
        self._keys[full] = known
        return known

    def _moved(self, site: Site, number: int) -> Optional[str]:
        """Finds the key of a place that a change of the code has moved, or that an older version did not know."""
        claimed = set(self._keys.values())
        if not self._saved_keys:
            return next((key for key in self._turns if key not in claimed), None)
        function = _function(site)
        if self._saved_codes.get(function) == self._codes.get(function):
            return None
        there = [(full, key) for full, key in self._saved_keys.items() if full.rpartition(":")[0] == function]
        return next((key for full, key in there if key not in claimed and full.endswith(f"#{number}")), None)


def _function(site: Site) -> str:
    return site.key.rpartition(":")[0]
