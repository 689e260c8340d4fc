"""One ``fit`` of Keras: what a checkpoint of it holds, and how that is put back."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import ResumeError, keras_arrays, keras_random, keras_variables
from .fit import Place
from .hidden_fit import HiddenState, named
from .ingredients import Ingredients
from .keras_data import Feed
from .keras_hidden import parts_of
from .keras_others import Others
from .numbers import plain_metrics

#: One file holds it all. What is in it is the same whenever the states are.
STATE_FILE = "state.safetensors"
_FORMAT = 1
_NAMES = {"weights": "weights", "optimizer": "optimizer", "random": "random numbers of the layers", "other": "metrics of the epoch"}

State = Dict[str, Any]


class Saved(NamedTuple):
    """A file of ours, read."""

    arrays: Dict[str, Any]
    facts: State

    def part(self, prefix: str) -> Dict[str, Any]:
        """Returns the arrays of one kind."""
        return {name: array for name, array in self.arrays.items() if name.startswith(prefix)}

    @property
    def is_inside(self) -> bool:
        """Tells whether the checkpoint stands inside of an epoch."""
        return bool(self.facts["progress"]["batch"])


def read_saved(folder: str) -> Saved:
    """Reads the state in a checkpoint's folder.

    Raises:
        ResumeError: There is none that can be read.
    """
    path = os.path.join(folder, STATE_FILE)
    if not os.path.exists(path):
        there = ", ".join(sorted(name for name in os.listdir(folder) if name != "checkpoint.json")) or "nothing"
        raise ResumeError(f"The checkpoint has no {STATE_FILE}, but {there}: another adapter or version took it. Nothing was trained.")
    try:
        arrays, notes = keras_arrays.read(path)
        return Saved(arrays, json.loads(notes["trainstash"]))
    except (OSError, ValueError, KeyError) as error:
        raise ResumeError(f"{path} cannot be read: {error}. Nothing was trained.") from error


class KerasFit:
    """The model, the data and the callbacks of one call of ``fit``."""

    def __init__(self, model: Any, callbacks: List[Any], seed: int) -> None:
        self.model = model
        self.callbacks = callbacks
        self.seed = seed
        self.feed: Optional[Feed] = None
        self.others: Optional[Others] = None
        self.hidden: Optional[HiddenState] = None
        #: Steps that are trained, and the epoch that comes next or is being trained.
        self.step = 0
        self.epoch = 0
        #: The newest step's logs, as Keras gives them.
        self.logs: Mapping[str, Any] = {}
        #: Findings that were made once, such as data that cannot be read.
        self.problems = Ingredients()

    @property
    def is_exact(self) -> bool:
        """Tells whether a place inside of an epoch can be found again."""
        return self.feed is not None and not self.feed.problems

    def place(self, batch: int) -> Place:
        """Returns the place of the fit in the run."""
        return Place(self.step, self.epoch, batch)

    def look_around(self) -> None:
        """Looks at the other callbacks and at the script's code, when all have begun."""
        self.others = Others(self.callbacks)
        callbacks = self.others.callbacks
        dataset = self.feed.source.dataset if self.feed is not None and self.feed.source.kind == "PyDataset" else None
        self.hidden = HiddenState(lambda: parts_of(self.model, callbacks, dataset))

    # ---- reading ----

    def read(self, batch: int, has_stopped: bool) -> Tuple[Dict[str, Any], Dict[str, str], Ingredients]:
        """Reads variables, random numbers, the place in the data and the other callbacks.

        Args:
            batch: Batches of the epoch that are trained; 0 between epochs.
            has_stopped: A callback has ended the training before its last epoch.

        Returns:
            Arrays by name, texts by name, and what was found out about each part.
        """
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        arrays: Dict[str, Any] = {}
        found = Ingredients()
        self._read_variables(arrays, found)
        numbers = keras_random.capture()
        for name in keras_random.names_in(numbers):
            found.kept("random", f"random numbers of {name}")
        facts: State = {
            "progress": {"step": self.step, "epoch": self.epoch, "batch": batch},
            "format": _FORMAT,
            "adapter": "keras",
            "backend": _backend(),
            "seed": self.seed,
            "stopped": has_stopped,
            "logs": plain_metrics(self.logs) if batch else None,
            "random": numbers,
            "data": self._read_data(arrays, found),
            "callbacks": self._read_callbacks(arrays, found),
        }
        found.add(self.problems)
        return arrays, {"trainstash": json.dumps(facts, allow_nan=False, separators=(",", ":"))}, found

    def _read_variables(self, arrays: Dict[str, Any], found: Ingredients) -> None:
        groups = {
            "weights": keras_variables.weights(self.model),
            "optimizer": keras_variables.optimizer_variables(self.model),
            "random": keras_variables.seeds(self.model),
            "other": keras_variables.metrics(self.model),
        }
        for kind, variables in groups.items():
            for one in variables:
                dtype = keras_variables.dtype_of(one.variable)
                if keras_arrays.can_be_written(dtype):
                    arrays[one.name] = keras_variables.value_of(one.variable)
                else:
                    found.lost(kind, one.name, f"it is of {dtype}, which no file can hold")
            if variables:
                found.kept(kind, _NAMES[kind])
            elif kind in ("weights", "optimizer"):
                found.absent(kind, _NAMES[kind])
        # Rates and their schedules, scales of losses and accumulated gradients are variables of the optimizer, or functions of its step.
        for kind in ("schedule", "scaler", "gradients"):
            note = found.kept if groups["optimizer"] else found.absent
            note(kind, f"{kind} of the optimizer")

    def _read_data(self, arrays: Dict[str, Any], found: Ingredients) -> Optional[State]:
        # Keras owns the loop: the script has none.
        found.absent("loop", "a loop of the script's own")
        if self.feed is None:
            found.lost("data", "the order of the data", "this version of Keras reads it in a way that is not known here")
            return None
        state, own = self.feed.state()
        arrays.update(own)
        for name, why in self.feed.problems:
            found.lost("data", name, why)
        found.kept("data", "the place in the data")
        return state

    def _read_callbacks(self, arrays: Dict[str, Any], found: Ingredients) -> List[State]:
        if self.others is None:
            found.lost("callback", "other callbacks", "they could not be looked at")
        records, own, lost = self.others.state() if self.others is not None else ([], {}, [])
        arrays.update(own)
        for name, why in lost:
            found.lost("callback", name, why)
        if self.others is not None and self.hidden is not None:
            kept = [f"{name}.{part}" for (name, _), record in zip(named(self.others.callbacks), records) for part in record["values"]]
            self.hidden.note(found, [*kept, *(name for name, _ in lost)])
        names = self.others.names() if self.others is not None else []
        for name in names:
            found.kept("callback", name)
        if not names:
            found.absent("callback", "callbacks with a state")
        return records

    # ---- putting back ----

    def load_variables(self, saved: Saved, with_metrics: bool) -> None:
        """Puts weights, optimizers and the layers' random numbers back: all of them fit, or nothing is changed.

        Raises:
            ResumeError: They do not fit.
        """
        model = self.model
        found = [
            *keras_variables.pairs("model", saved.part(keras_variables.WEIGHTS), keras_variables.weights(model)),
            *keras_variables.pairs("optimizer", saved.part(keras_variables.OPTIMIZER), keras_variables.optimizer_variables(model)),
            *keras_variables.pairs("random numbers", saved.part(keras_variables.SEEDS), keras_variables.seeds(model)),
        ]
        if with_metrics:
            found += self._metrics_of(saved)
        keras_variables.assign(found)

    def _metrics_of(self, saved: Saved) -> List[Tuple[Any, Any]]:
        try:
            return keras_variables.pairs("metrics", saved.part(keras_variables.METRICS), keras_variables.metrics(self.model))
        except ResumeError:
            self.problems.lost("other", "the epoch's running metrics", "the model has other metrics now")
            return []

    def load_surroundings(self, saved: Saved) -> None:
        """Puts random numbers and the other callbacks back, and names what cannot be."""
        if self.others is not None:
            for name, why in self.others.put_back(saved.facts["callbacks"], saved.arrays):
                self.problems.lost("callback", name, why)
        for name, why in keras_random.restore(saved.facts["random"]):
            self.problems.lost("random", f"random numbers of {name}", why)


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


def write(folder: str, arrays: Dict[str, Any], notes: Dict[str, str]) -> None:
    """Writes what ``KerasFit.read`` has read."""
    keras_arrays.write(os.path.join(folder, STATE_FILE), arrays, notes)
