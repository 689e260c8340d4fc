"""The variables of a Keras model and its optimizers, by the names that the layers give them."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple

from . import ResumeError, keras_arrays

_MOST_PROBLEMS = 5
WEIGHTS, OPTIMIZER, SEEDS, METRICS = "model/", "optimizer/", "trainstash/seeds/", "trainstash/metrics/"


class Named(NamedTuple):
    """A variable under the name that it has in a checkpoint."""

    name: str
    variable: Any


def weights(model: Any) -> List[Named]:
    """Lists the model's weights under the layers' own paths."""
    return named(WEIGHTS, model.weights, lambda variable: str(variable.path))


def seeds(model: Any) -> List[Named]:
    """Lists the random numbers of the layers: the states of their SeedGenerators."""
    others = {id(variable) for variable in [*model.weights, *_metrics(model)]}
    own = [variable for variable in model.variables if id(variable) not in others]
    return named(SEEDS, own, lambda variable: str(variable.path))


def metrics(model: Any) -> List[Named]:
    """Lists the running sums of the epoch's metrics."""
    return named(METRICS, _metrics(model), lambda variable: str(variable.path))


def optimizers(model: Any) -> Dict[str, Any]:
    """Finds the optimizer that the model was compiled with, and those that it keeps as attributes, as a GAN does."""
    import keras

    found: Dict[str, Any] = {}
    known: List[int] = []
    candidates = [("", getattr(model, "optimizer", None)), *sorted(vars(model).items(), key=lambda item: item[0])]
    for name, value in candidates:
        if isinstance(value, keras.optimizers.Optimizer) and id(value) not in known:
            known.append(id(value))
            found[name.lstrip("_")] = value
    return found


def optimizer_variables(model: Any) -> List[Named]:
    """Lists the slots, counters and rates of every optimizer of the model."""
    found: List[Named] = []
    for name, optimizer in optimizers(model).items():
        prefix = f"{OPTIMIZER}{name}/" if name else OPTIMIZER
        found += named(prefix, optimizer.variables, lambda variable: str(variable.name))
    return found


def slots_of(name: str, arrays: Mapping[str, Any]) -> List[str]:
    """Lists the variables that a checkpoint has of one of the model's optimizers, by their own names."""
    prefix = f"{OPTIMIZER}{name}/" if name else OPTIMIZER
    own = [one[len(prefix) :] for one in arrays if one.startswith(prefix)]
    return [one for one in own if "/" not in one]


def has_slot(variable: Any, slots: List[str]) -> bool:
    """Tells whether an optimizer has trained a variable: slots are called after its path."""
    start = str(variable.path).replace("/", "_") + "_"
    return any(slot.startswith(start) for slot in slots)


def value_of(variable: Any) -> Any:
    """Copies a variable's value into an array of its own dtype."""
    import keras
    import numpy

    value = keras.ops.convert_to_numpy(variable.value if hasattr(variable, "value") and not callable(variable.value) else variable)
    # Backends without the dtype give a wider one: the values are the same.
    return numpy.array(value, dtype=keras_arrays.dtype_named(dtype_of(variable)))


def dtype_of(variable: Any) -> str:
    """Names a variable's dtype as Keras does."""
    import keras

    return str(keras.backend.standardize_dtype(variable.dtype))


def pairs(kind: str, saved: Mapping[str, Any], own: List[Named]) -> List[Tuple[Any, Any]]:
    """Finds the saved array of each variable.

    Keras numbers layers and models as a process makes them, so a second model has other names than the first. Where the
    names are not the same they are compared in order, without those numbers.

    Args:
        kind: Their kind, for the error.
        saved: The checkpoint's arrays of this kind.
        own: The variables of this launch.

    Raises:
        ResumeError: They do not fit; the first differences are named.
    """
    then = list(saved)
    if {one.name for one in own} != set(then):
        if [_unnumbered(one.name) for one in own] != [_unnumbered(name) for name in then]:
            raise ResumeError(_difference(kind, then, [one.name for one in own]))
        found = [(one, saved[name]) for one, name in zip(own, then)]
    else:
        found = [(one, saved[one.name]) for one in own]
    problems = [problem for one, array in found for problem in _misfit(one, array)]
    if problems:
        raise ResumeError(_cut(problems))
    return [(one.variable, array) for one, array in found]


def assign(found: List[Tuple[Any, Any]]) -> None:
    """Puts saved values into variables.

    Raises:
        ResumeError: A variable does not take its value.
    """
    for variable, array in found:
        try:
            variable.assign(array)
        except Exception as error:
            raise ResumeError(f"{variable.path} does not take its value from the checkpoint ({error}). Nothing was trained.") from error


def _metrics(model: Any) -> List[Any]:
    return list(getattr(model, "metrics_variables", None) or [])


def named(prefix: str, variables: Any, name_of: Any) -> List[Named]:
    """Names variables, each once."""
    seen: Dict[str, int] = {}
    found: List[Named] = []
    for variable in variables:
        name = name_of(variable)
        seen[name] = seen.get(name, 0) + 1
        found.append(Named(f"{prefix}{name}" if seen[name] == 1 else f"{prefix}{name}#{seen[name]}", variable))
    return found


def _unnumbered(name: str) -> str:
    # Slots are called after their parameter's path, with "_" for "/".
    return re.sub(r"_\d+(?=/|_|#|$)", "", name)


def _misfit(one: Named, array: Any) -> Iterator[str]:
    shape = tuple(int(size) for size in one.variable.shape)
    dtype = dtype_of(one.variable)
    if tuple(array.shape) != shape:
        yield f"{one.name} is {list(array.shape)} in the checkpoint, {list(shape)} in this model"
    elif array.dtype.name != dtype and not _is_whole(array, dtype):
        yield f"{one.name} is {array.dtype.name} in the checkpoint, {dtype} in this model"


def _is_whole(array: Any, dtype: str) -> bool:
    """Tells whether both types are of integers, and no value is lost: backends count with different ones."""
    import numpy

    if array.dtype.kind not in "iu" or not dtype.startswith(("int", "uint")):
        return False
    limits = numpy.iinfo(dtype)
    return bool(array.size == 0 or limits.min <= int(array.min()) and int(array.max()) <= limits.max)


def _difference(kind: str, then: List[str], now: List[str]) -> str:
    gone = [f"{name} is not in this model" for name in then if name not in now]
    new = [f"{name} is not in the checkpoint" for name in now if name not in then]
    if not gone and not new:
        return f"The checkpoint's {kind} comes in another order. Nothing was loaded."
    return _cut([*gone[:3], *new[:3]], len(gone) + len(new))


def _cut(problems: List[str], total: int = 0) -> str:
    shown = problems[:_MOST_PROBLEMS]
    more = max(total, len(problems)) - len(shown)
    rest = f" and {more} more" if more > 0 else ""
    return f"The checkpoint does not fit: {'; '.join(shown)}{rest}. Nothing was loaded."
