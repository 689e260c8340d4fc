"""The objects that Keras calls in a ``fit``, and those of them that a checkpoint holds: to find state that functions and classes of the script keep."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from . import keras_objects, keras_variables
from .hidden_fit import Parts, named
from .own_attributes import is_users_class

# Packages whose objects are not looked into: their variables are all that they have.
_PACKAGES = ("keras", "tensorflow", "jax", "jaxlib", "tf_keras")


def parts_of(model: Any, callbacks: List[Any], dataset: Any) -> Parts:
    """Lists what is called. In a step that is compiled Python runs when it is traced, in each process alike: only what runs in every
    step counts.

    Args:
        callbacks: All but ours.
        dataset: A data set of the script's own; None: it has none.
    """
    objects = dict(named(callbacks))
    values: Dict[str, Any] = {}
    if dataset is not None:
        objects["the data set"] = dataset
    layers = list(model._flatten_layers())
    if _is_eager(model):
        own = {f"layer {one.path or one.name}": one for one in layers if not _is_of_keras(one)}
        schedule = getattr(getattr(model, "optimizer", None), "_learning_rate", None)
        if is_users_class(type(schedule)):
            own["the schedule"] = schedule
        objects.update({**own, **{f"loss {i}": one for i, one in enumerate(_losses(model))}})
        values = {f"{name}.{key}": item for name, one in own.items() for key, item in _own_attributes(one)}
    values.update({f"{name}.{key}": item for name, one in named(callbacks) for key, item in list(vars(one).items()) if _is_of_torch(item)})
    covered = [model, *layers, *keras_variables.optimizers(model).values(), getattr(model, "history", None)]
    return Parts(objects, values, covered, [], _mark)


def _is_eager(model: Any) -> bool:
    import keras

    return bool(getattr(model, "run_eagerly", False)) or (keras.backend.backend() == "torch" and not getattr(model, "jit_compile", False))


def _losses(model: Any) -> List[Any]:
    loss = getattr(model, "loss", None)
    given = list(loss.values()) if isinstance(loss, dict) else list(loss) if isinstance(loss, (list, tuple)) else [loss]
    return [one for one in given if callable(one)]


def _own_attributes(layer: Any) -> Iterator[Tuple[str, Any]]:
    """Lists a layer's attributes that Keras does not set by itself."""
    import keras

    base = keras.Model if isinstance(layer, keras.Model) else keras.Layer
    known = {*vars(base()), "history", "stop_training", "stop_evaluating", "stop_predicting", "optimizer", "loss", "train_function", "test_function", "predict_function"}
    for key, item in list(vars(layer).items()):
        if key not in known and not key.startswith("_") and not _is_of_keras(item):
            yield key, item


def _is_of_keras(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in _PACKAGES


def _is_of_torch(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _mark(value: Any) -> Optional[Any]:
    own = keras_objects.variables_of(value)
    if own is not None:
        return tuple(keras_objects.mark_of(keras_variables.value_of(one)) for one in own)
    if hasattr(value, "numpy") and hasattr(value, "assign"):
        return keras_objects.mark_of(value.numpy())
    return "" if _is_of_keras(value) and not callable(getattr(value, "on_epoch_end", None)) else None
