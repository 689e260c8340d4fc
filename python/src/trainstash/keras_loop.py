"""Loops of a script's own around Keras models and optimizers: GradientTape, JAX and torch. What ``trainstash.init`` gives then."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional, Tuple

from . import ResumeError, generators, keras_arrays, keras_objects, keras_random, keras_variables, rng
from .environment import merged_params
from .fit import FINISHED, Due, Place
from .ingredients import Ingredients
from .keras_fit import Saved, read_saved, write
from .keras_passes import Passes
from .recorder import recorder_of
from .script import caller, site_of
from .state import State, States, keepable
from .surroundings import Surroundings
from .tracked import Tracked
from .wishes import Wishes


def is_of_keras(value: Any) -> bool:
    """Tells whether an object is one whose state lies in variables of Keras."""
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(value).__mro__)


class KerasRun:
    """The run of a loop around objects of Keras. Used like ``Run``."""

    def __init__(self, wishes: Wishes, tracked: Mapping[str, Any]) -> None:
        self._objects = _checked(tracked)
        recorder = recorder_of("keras loop", wishes)
        self._recorder = recorder
        self._numbered = numbered = recorder.next_fit()
        folder = wishes.resume if wishes.resume is not None else numbered.folder
        if wishes.resume == "last":
            raise ValueError('resume="last" is not known for objects of Keras; start the script with `trainstash run` and resume it with `trainstash resume`.')
        self._saved: Optional[Saved] = read_saved(folder) if folder is not None else None
        #: Hyper-parameters: those of ``init``, over them those of the launch.
        self.params: Dict[str, Any] = merged_params(dict(wishes.params or {}), recorder.launch.get("params"))
        #: Values kept with every checkpoint.
        self.vars: Dict[str, Any] = {}
        self.resumed = self._saved is not None
        self.seed = int(self._saved.facts["seed"]) if self._saved is not None else recorder.seed
        self.rank, self.world = 0, 1
        #: True once the loop over epochs has come to its end.
        self.over = False
        self.steps, self.epoch = 0, 0
        self._states = States()
        self._passes = Passes(self._at_boundary, self._arrive)
        shim = Tracked({})
        shim.objects.update(self._objects)
        self._surroundings = Surroundings(shim, self._states.owns)
        self._found = Ingredients()
        self._is_due = False
        # The random numbers with which the epoch began: what is drawn in front of its batches is drawn again by a resume.
        self._head: Optional[Dict[str, Any]] = None
        self._weights: List[Tuple[str, str]] = []
        if self._saved is not None:
            self._restore(self._saved)
        self._numbered.begin(self.steps, self.epoch, None, None, params=self.params)
        command, session = recorder.launch.get("command") or {}, recorder.session
        #: A folder for files of this run, the same in all of its launches.
        self.dir = str(command.get("dir") or (os.path.join(session.path, "files") if session else os.getcwd()))

    # ---- what a script calls ----

    def epochs(self, n: int) -> Iterator[int]:
        """Counts like ``range(n)``, from the epoch that a resumed run stands in."""
        first = self.epoch
        for epoch in range(first, n):
            self.epoch = epoch
            if self._saved is not None and not self._saved.is_inside:
                self._arrive()
            elif self._saved is not None:
                self._draw_again(self._saved.facts.get("head"))
            self._head = self._numbers()
            self._passes.begin_epoch()
            yield epoch
            self._passes.end_epoch()
            self.epoch = epoch + 1
            self._is_due = False
            if epoch + 1 < n:
                self._save(0, self._numbered.due_at_epoch(self.steps, self.epoch))
        self._end()

    def batches(self, loader: Any, steps: Optional[int] = None) -> Iterator[Any]:
        """Iterates over the loader, from the batch that a resumed run stands at.

        Args:
            loader: A tf.data pipeline, a PyDataset, a DataLoader, or a list.
            steps: How many batches there are to be at most.
        """
        site = site_of(caller()).key
        self._surroundings.look(caller())
        return self._passes.batches(site, loader, steps)

    def step(self, **metrics: Any) -> None:
        """Logs, and takes checkpoints that are due: to be called once after each update.

        Args:
            metrics: Numbers by name.
        """
        if self._saved is not None:
            self._found.lost("loop", "the place in the loop", "nobody saw where it begins; use run.epochs and run.batches")
            self._arrive()
        self.steps += 1
        self._numbered.log(self.steps, self.epoch, metrics)
        if self._passes.stepped():
            self._is_due = True
        else:
            self._found.lost("data", "the place in the data", "it is not read with run.batches")
            self._save(1, self._numbered.due(self.steps))

    def log(self, **metrics: Any) -> None:
        """Metrics of this step, beside those of ``step``."""
        self._numbered.log(self.steps, self.epoch, metrics, validated=True)

    def checkpoint(self, tag: Optional[str] = None) -> None:
        """Takes a checkpoint of the present state. Call it between two steps."""
        self._save(self._passes.batch, Due(True, False, ["request"]))

    def state(self, **values: Any) -> State:
        """Values of the loop that travel with each checkpoint, read and written as attributes."""
        return self._states.give(site_of(caller()).key, values, restore=self._saved is not None)

    def track(self, **more: Any) -> NoReturn:
        """Refuses objects: there is nothing to track later with Keras."""
        raise TypeError("Give all models and optimizers of Keras to trainstash.init() itself. Nothing was tracked.")

    # ---- boundaries ----

    def _at_boundary(self, is_last: bool) -> None:
        """Takes what is due when the next batch is asked for: nothing of the step before is left to do."""
        if not self._is_due:
            return
        self._is_due = False
        if not is_last:
            self._save(self._passes.batch, self._numbered.due(self.steps))

    def _end(self) -> None:
        if self._saved is not None:
            self._arrive()
        self.over = True
        due = self._numbered.finish(self.steps, self.epoch)
        if self._numbered.fate != FINISHED:
            self._save(0, due)

    def _save(self, batch: int, due: Due) -> None:
        if due:
            try:
                arrays, notes, found = self._read(batch)
                self._numbered.save_files(Place(self.steps, self.epoch, batch), due, found, lambda folder: write(folder, arrays, notes))
            except Exception as error:
                self._numbered.fail(self.steps, error)
        if due.leaves:
            self._numbered.leave(self.steps)

    # ---- checkpoints ----

    def _read(self, batch: int) -> Tuple[Dict[str, Any], Dict[str, str], Ingredients]:
        arrays: Dict[str, Any] = {}
        found = Ingredients()
        for name, value in self._objects.items():
            if rng.is_generator(value):
                found.kept("random", name)
                continue
            for one in _variables(name, value):
                arrays[one.name] = keras_variables.value_of(one.variable)
            found.kept(_kind(value), name)
        self._look_for_stale(arrays, found)
        numbers = self._numbers()
        for name in keras_random.names_in(numbers["random"]):
            found.kept("random", f"random numbers of {name}")
        for kind in ("weights", "optimizer", "callback"):
            if not found.has(kind):
                found.absent(kind, kind)
        for kind in ("schedule", "scaler", "gradients"):
            found.kept(kind, f"{kind} of the optimizer") if found.has("optimizer") else found.absent(kind, kind)
        values, refused = keepable(self.vars)
        states, more = self._states.saved()
        for name, why in [*refused, *more]:
            found.lost("loop", name, f"is not kept: {why}")
        for lost in self._surroundings.lost(caller() if batch else None, batch == 0, self._passes.batch):
            found.lost(lost.kind, lost.name, lost.why, lost.line, lost.code)
        if not found.has("loop"):
            found.kept("loop", "values of the loop")
        place, problems = self._passes.state(batch > 0)
        for name, why in problems:
            found.lost("data", name, why)
        found.kept("data", "the place in the data")
        found.add(self._found)
        facts = {
            "progress": {"step": self.steps, "epoch": self.epoch, "batch": batch},
            "format": 1, "adapter": "keras loop", "seed": self.seed, **numbers, "head": self._head, "data": place,
            "vars": _encoded(values, "vars", arrays), "states": _encoded(states, "states", arrays),
        }  # fmt: skip
        return arrays, {"trainstash": json.dumps(facts, allow_nan=False, separators=(",", ":"))}, found

    def _look_for_stale(self, arrays: Mapping[str, Any], found: Ingredients) -> None:
        """Finds weights that no step has changed: a stateless loop of JAX trains arrays of its own, and the model's variables
        stay what they were."""
        now = [(name, keras_objects.mark_of(array)) for name, array in arrays.items() if name.startswith(keras_variables.WEIGHTS)]
        if now and now == self._weights and self.steps > self._seen_at:
            why = "no step has changed them: assign what the loop trains to the model's variables before run.step()"
            found.lost("weights", "the model's variables", why)
        self._weights, self._seen_at = now, self.steps

    _seen_at = 0

    def _restore(self, saved: Saved) -> None:
        progress = saved.facts["progress"]
        if saved.facts["adapter"] != "keras loop":
            raise ResumeError("The checkpoint was taken in model.fit, and this is a loop of the script's own. Nothing was loaded.")
        self._load(saved)
        self.steps, self.epoch = int(progress["step"]), int(progress["epoch"])
        self._weights = [(name, keras_objects.mark_of(array)) for name, array in saved.part(keras_variables.WEIGHTS).items()]
        self._seen_at = self.steps
        self.vars.update(_decoded(saved.facts["vars"], saved.arrays))
        self._states.load(_decoded(saved.facts["states"], saved.arrays))
        self._passes.resume(saved.facts["data"], saved.is_inside)

    def _load(self, saved: Saved) -> None:
        found: List[Tuple[Any, Any]] = []
        for name, value in self._objects.items():
            if not rng.is_generator(value):
                own = _variables(name, value)
                prefix = _prefix(name, value)
                found += keras_variables.pairs(name, saved.part(prefix), own)
        keras_variables.assign(found)

    def _arrive(self) -> None:
        """Puts back what was drawn and changed on the way from ``init`` to the place of the checkpoint."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        self._load(saved)
        self._set_numbers(saved.facts)
        self._states.put_back()
        self._states.at_place()

    def _numbers(self) -> Dict[str, Any]:
        own = {name: keras_random.plain(generators.state_of(value)) for name, value in self._objects.items() if rng.is_generator(value)}
        return {"random": keras_random.capture(), "generators": own}

    def _set_numbers(self, saved: Mapping[str, Any]) -> None:
        for name, state in saved["generators"].items():
            if name in self._objects:
                generators.set_state(self._objects[name], keras_random.lively(state))
        for name, why in keras_random.restore(saved["random"]):
            self._found.lost("random", f"random numbers of {name}", why)

    def _draw_again(self, head: Optional[Mapping[str, Any]]) -> None:
        """Lets the script draw in front of the batches what it drew there before."""
        if head is None:
            self._found.lost("random", "what an epoch draws before its batches", "the checkpoint is of an older version, which did not keep it")
        else:
            self._set_numbers(head)


def _checked(tracked: Mapping[str, Any]) -> Dict[str, Any]:
    import keras

    objects = {name: value for name, value in tracked.items() if value is not None}
    models = [value for value in objects.values() if isinstance(value, keras.Layer)]
    for name, value in objects.items():
        known = isinstance(value, (keras.Layer, keras.optimizers.Optimizer, keras.metrics.Metric, keras.random.SeedGenerator))
        if not known and not rng.is_generator(value):
            raise TypeError(f"{name} ({type(value).__name__}) is neither of Keras nor a random generator, and is not kept beside objects of Keras. Nothing was tracked.")
    for name, value in objects.items():
        if isinstance(value, keras.Layer) and not value.built:
            raise TypeError(f"{name} has no weights yet: call it on a batch, or model.build(shape), before trainstash.init(). Nothing was tracked.")
        if isinstance(value, keras.optimizers.Optimizer) and not value.built:
            if len(models) != 1:
                raise TypeError(f"{name} has no variables yet: call {name}.build(model.trainable_variables) before trainstash.init(). Nothing was tracked.")
            value.build(models[0].trainable_variables)
    return objects


def _kind(value: Any) -> str:
    import keras

    if isinstance(value, keras.optimizers.Optimizer):
        return "optimizer"
    if isinstance(value, keras.random.SeedGenerator):
        return "random"
    return "weights" if isinstance(value, keras.Layer) else "other"


def _prefix(name: str, value: Any) -> str:
    kind = _kind(value)
    if kind == "optimizer":
        return keras_variables.OPTIMIZER if name == "optimizer" else f"{keras_variables.OPTIMIZER}{name}/"
    if kind == "weights":
        return keras_variables.WEIGHTS if name == "model" else f"{keras_variables.WEIGHTS}{name}/"
    return f"trainstash/{name}/"


def _variables(name: str, value: Any) -> List[keras_variables.Named]:
    variables = [value.state] if _kind(value) == "random" else list(value.variables)
    if _kind(value) == "weights" and hasattr(value, "metrics_variables"):
        sums = {id(one) for one in value.metrics_variables}
        variables = [one for one in variables if id(one) not in sums]
    by = "name" if _kind(value) == "optimizer" else "path"
    return keras_variables.named(_prefix(name, value), variables, lambda variable: str(getattr(variable, by)))


def _encoded(values: Mapping[str, Any], folder: str, arrays: Dict[str, Any]) -> Any:
    encoded, own = keras_objects.encode(dict(values))
    arrays.update({f"trainstash/{folder}/{key}": array for key, array in own.items() if keras_arrays.can_be_written(array.dtype.name)})
    return {"folder": folder, "values": encoded}


def _decoded(saved: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
    prefix = f"trainstash/{saved['folder']}/"
    own = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    return keras_objects.decode(saved["values"], own)
