"""The state that a resume puts back when the loop is entered, and once more when a loader stands at its place. What a script
draws, sets or steps on its way there came out the same way in the first launch, and must leave no trace."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import rng
from .gradients import Gradients
from .kinds import kind_of
from .state import States, copied
from .tracked import Tracked, is_model, is_optimizer

Lost = Callable[[str, str, str], None]


class PutBack:
    """The state that one resume puts back.

    Args:
        own: The checkpoint's part that is ours: its account of the run.
        rank: The number of this process, and how many there are.
        generators: Generator objects that are tracked.
        lost: Told of what cannot be put back: kind, name, reason.
    """

    def __init__(self, own: Mapping[str, Any], rank: Tuple[int, int], generators: Mapping[str, Any], lost: Lost) -> None:
        self._own = own
        self._generators = generators
        self._lost = lost
        self._rank, world = rank
        #: The modes of networks that the script had changed.
        self.modes: Mapping[str, Any] = own.get("modes") or {}
        states = own["rng"]
        #: True: each process finds its own random numbers.
        self.fits = self._rank < len(states) and len(states) == world
        if not self.fits:
            why = f"there were {len(states)} processes, and there are {world} now"
            lost("random", "random numbers of each process", why)
        self._small: Dict[str, Any] = {}
        self._rates: Dict[str, Any] = {}
        # How often the tensors of each object had been written to.
        self._written: Dict[str, Any] = {}
        self._again: Optional[Callable[[], Any]] = None

    def after_init(self, seed: int, step: int) -> None:
        """Sets the random numbers, so that what is drawn between ``init`` and the loop comes out as in the first launch."""
        if not self.fits:
            rng.seed_all(rng.mix(seed, "rank", self._rank, step))
        elif "rng_begin" in self._own:
            self._random(self._own["rng_begin"])

    def note(self, tracked: Tracked, again: Optional[Callable[[], Any]]) -> None:
        """Remembers the small parts of the tracked objects as they are after they were restored.

        Args:
            tracked: These objects.
            again: Reads the checkpoint once more and loads all of them, if the script has written to the large parts.
        """
        self._again = again
        for name, value in tracked.objects.items():
            self._written[name] = _writes(value)
            if is_optimizer(value):
                self._rates[name] = options_of(value)
            elif not is_model(value) and hasattr(value, "state_dict"):
                self._small[name] = _plain_state(value)

    def enter(self, tracked: Tracked, states: States, variables: Dict[str, Any], gradients: Gradients, begins_epoch: bool) -> List[str]:
        """Puts the state back when the loop is entered, or stands at its place.

        Args:
            tracked: Generators, schedules and options of optimizers among these are set again.
            states: The states that ``run.state`` gave.
            variables: ``run.vars``.
            gradients: Gradients of the tracked objects.
            begins_epoch: The place is inside of an epoch whose beginning is done again first.

        Returns:
            Names of objects that the script had changed since ``init``.
        """
        own = self._own
        if self.fits:
            self._random(own["rng_epoch" if begins_epoch and "rng_epoch" in own else "rng"])
        changed = [] if begins_epoch else self._tracked(tracked)
        states.put_back()
        variables.clear()
        variables.update(copied(own["vars"]))
        missing = gradients.put_back(own["gradients"]) if own.get("gradients") else []
        if missing:
            self._lost("gradients", "gradients that were left over", f"{', '.join(missing[:3])} is not trained any more")
        return changed

    def _random(self, states: List[Any]) -> None:
        for name, why in rng.restore(states[self._rank], self._generators):
            self._lost("random", f"random numbers of {name}", why)

    def _tracked(self, tracked: Tracked) -> List[str]:
        changed = self._large(tracked)
        for name, saved in self._small.items():
            value = tracked.objects.get(name)
            if value is not None and saved and not _is_same(_plain_state(value), saved):
                value.load_state_dict({**value.state_dict(), **copied(saved)})
                changed += [name] if name not in changed else []
        for name, options in self._rates.items():
            if not _is_same(options_of(tracked.objects[name]), options):
                changed += [name] if name not in changed else []
                for group, known in zip(tracked.objects[name].param_groups, options):
                    group.update(known)
        return changed


    def _large(self, tracked: Tracked) -> List[str]:
        """Loads weights and slots once more that the script has written to on its way."""
        changed = [name for name, known in self._written.items() if name in tracked.objects and _writes(tracked.objects[name]) != known]
        try:
            if changed and self._again is not None:
                self._again()
                self._written = {name: _writes(value) for name, value in tracked.objects.items()}
                return changed
        except Exception as error:
            self._lost("weights", ", ".join(changed), f"the script changed it on its way to the loop, and it cannot be loaded again: {error}")
            return []
        for name in changed:
            self._lost(kind_of(tracked.objects[name]), name, "the script changed it on its way from init to the loop")
        return []


def _writes(value: Any) -> Any:
    """Counts how often the tensors of a network or an optimizer were written to; None for anything else."""
    try:
        if is_optimizer(value):
            slots = [slot for one in value.state.values() for slot in one.values()]
            return len(value.state), sum(getattr(slot, "_version", 0) for slot in slots)
        if is_model(value):
            return sum(getattr(one, "_version", 0) for one in [*value.parameters(), *value.buffers()])
    except Exception:
        return None
    return None


def options_of(optimizer: Any) -> List[Dict[str, Any]]:
    """Copies the small options of an optimizer's groups."""
    return [{key: copied(value) for key, value in group.items() if key != "params" and _is_small(value)} for group in optimizer.param_groups]


def _plain_state(value: Any) -> Dict[str, Any]:
    """Copies what is small and plain in the state of a schedule, a scaler and the like."""
    try:
        state = value.state_dict()
        return {key: copied(item) for key, item in state.items() if _is_small(item)} if isinstance(state, dict) else {}
    except Exception:
        return {}


def _is_small(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= 1000 and all(map(_is_small, value))
    if isinstance(value, dict):
        return len(value) <= 1000 and all(map(_is_small, value.values()))
    if hasattr(value, "numel"):
        return bool(value.numel() <= 1)
    return value is None or isinstance(value, (int, float, str, bool))


def _is_same(a: Any, b: Any) -> bool:
    try:
        return bool(repr(a) == repr(b))
    except Exception:
        return False


def detours_of(own: Mapping[str, Any], step: int) -> List[str]:
    """Lists the resumes that were not exact, that from a checkpoint with this content included: each makes another training."""
    texts = list(own.get("detours", []))
    if own.get("went_without"):
        texts.append(f"the resume from step {step:,} was not exact: {'; '.join(own['went_without'])}")
    return texts
