"""Random numbers of a Keras training outside of its variables: those of Python, NumPy, torch, and Keras' and TensorFlow's
global generators."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from typing import Any, Dict, List, Tuple

from . import rng

State = Dict[str, Any]


def capture() -> State:
    """Reads all of them, as JSON can hold them."""
    state: State = {"libraries": plain(rng.capture())}
    keras_seed = _keras_generator()
    if keras_seed is not None:
        import keras

        state["keras"] = keras.ops.convert_to_numpy(keras_seed.state).tolist()
    tensorflow = _tensorflow()
    if tensorflow:
        state["tensorflow"] = tensorflow
    return state


def restore(state: State) -> List[Tuple[str, str]]:
    """Puts them back.

    Returns:
        What could not be put back: pairs of a name and the reason.
    """
    failed = list(rng.restore(lively(state["libraries"])))
    for name, work in (("Keras", _set_keras), ("TensorFlow", _set_tensorflow)):
        try:
            work(state.get(name.lower()))
        except Exception as error:
            failed.append((name, str(error)))
    return failed


def names_in(state: State) -> List[str]:
    """Returns the libraries whose random numbers a state holds."""
    shown = {"python": "Python", "numpy": "NumPy", "torch": "torch", "cuda": "CUDA"}
    others = [name for name, key in (("Keras", "keras"), ("TensorFlow", "tensorflow")) if key in state]
    return [shown.get(name, name) for name in state["libraries"]] + others


def fingerprint(state: State) -> str:
    """Returns a short text that differs when a generator has drawn another number."""
    return hashlib.blake2b(json.dumps(state, sort_keys=True).encode(), digest_size=8).hexdigest()


def tensorflow_seed() -> Any:
    """Returns the seed that the script gave TensorFlow; None: it gave none, and TensorFlow draws another order in each process."""
    context = _context()
    return context.global_seed() if context is not None else None


def _keras_generator() -> Any:
    from keras.src.backend.common import global_state
    from keras.src.random import seed_generator

    name = getattr(seed_generator, "GLOBAL_SEED_GENERATOR", "global_seed_generator")
    return global_state.get_global_attribute(name)


def _set_keras(saved: Any) -> None:
    if saved is None:
        return
    import numpy
    from keras.src.random.seed_generator import global_seed_generator

    state = global_seed_generator().state
    state.assign(numpy.array(saved, dtype="uint32"))


def _context() -> Any:
    module = sys.modules.get("tensorflow.python.eager.context")
    return module if module is not None else None


def _tensorflow() -> State:
    context = _context()
    if context is None:
        return {}
    found: State = {}
    drawn = getattr(context.context(), "_rng", None)
    if drawn is not None and context.global_seed() is not None:
        version, internal, gauss = drawn.getstate()
        found["operations"] = [version, list(internal), gauss]
    module = sys.modules.get("tensorflow.python.ops.stateful_random_ops")
    generator = getattr(module, "global_generator", None)
    if generator is not None:
        found["generator"] = [int(word) for word in generator.state.numpy().tolist()]
    return found


def _set_tensorflow(saved: Any) -> None:
    context = _context()
    if not saved or context is None:
        return
    if "operations" in saved:
        version, internal, gauss = saved["operations"]
        context.context()._rng.setstate((version, tuple(internal), gauss))
    if "generator" in saved:
        import numpy
        import tensorflow

        generator = tensorflow.random.get_global_generator()
        generator.state.assign(numpy.array(saved["generator"], dtype="int64"))


def plain(value: Any) -> Any:
    """Makes texts of the tensors in a state."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "layout"):
        array = value.cpu().numpy()
        return {"tensor": array.dtype.name, "data": base64.b64encode(array.tobytes()).decode()}
    return value


def lively(value: Any) -> Any:
    """Makes tensors of those texts again."""
    if isinstance(value, list):
        return [lively(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"tensor", "data"}:
        return {key: lively(item) for key, item in value.items()}
    import numpy

    array = numpy.frombuffer(base64.b64decode(value["data"]), dtype=value["tensor"]).copy()
    torch = sys.modules.get("torch")
    return torch.from_numpy(array) if torch is not None else array.tolist()
