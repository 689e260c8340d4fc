"""Random number generators: those of the libraries, and those that a script makes for itself."""

from __future__ import annotations

import ctypes
import hashlib
import random
import sys
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import generators as own_generators
from . import paddle_random

#: A state as a checkpoint holds it: tensors and plain values alone.
State = Dict[str, Any]
_WORD = 0xFFFFFFFF
# Other accelerators with generators of their own; CUDA has one for each device.
_ACCELERATORS = ("mps", "xpu")


def mix(*parts: Any) -> int:
    """Mixes every part into 63 bits that depend on all of them."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & (2**63 - 1)


def seed_all(seed: int) -> None:
    """Seeds the generators of the CPU. Those of a GPU are not used while data is read."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed & _WORD)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(seed)
    paddle_random.seed_cpu(seed)


def cpu_state() -> List[Any]:
    """Returns the state of the CPU's generators, for putting back in the same process."""
    numpy = sys.modules.get("numpy")
    torch = sys.modules.get("torch")
    return [
        random.getstate(),
        numpy.random.get_state() if numpy is not None else None,
        torch.get_rng_state() if torch is not None else None,
        paddle_random.cpu_state(),
    ]


def set_cpu_state(state: List[Any]) -> None:
    random.setstate(state[0])
    if state[1] is not None:
        sys.modules["numpy"].random.set_state(state[1])
    if state[2] is not None:
        sys.modules["torch"].set_rng_state(state[2])
    paddle_random.set_cpu_state(state[3])


def capture(generators: Optional[Mapping[str, Any]] = None) -> State:
    """Captures the state of every library's generators, for a checkpoint.

    Args:
        generators: The script's own generator objects by name, kept with the others.
    """
    version, internal, gauss = random.getstate()
    state: State = {"python": {"version": version, "state": _words(internal), "gauss": gauss}}
    torch = sys.modules.get("torch")
    if torch is not None:
        state["torch"] = torch.get_rng_state()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, position, has_gauss, cached = numpy.random.get_state()
        state["numpy"] = {
            "name": str(name),
            "state": _words(keys.tolist()),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(cached),
        }
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = list(torch.cuda.get_rng_state_all())
    for name in _ACCELERATORS:
        if _is_available(name):
            state[name] = getattr(torch, name).get_rng_state()
    paddle = paddle_random.capture()
    if paddle is not None:
        state["paddle"] = paddle
    if generators:
        state["own"] = _of_generators(generators)
    return state


def restore(state: State, generators: Optional[Mapping[str, Any]] = None) -> List[Tuple[str, str]]:
    """Puts a captured state back, and that of generator objects with the same names.

    Returns:
        What could not be put back: pairs of the library's name and the reason.
    """
    torch: Any = sys.modules.get("torch")
    failed: List[Tuple[str, str]] = []

    def attempt(name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            failed.append((name, str(error)))

    def set_python() -> None:
        python = state["python"]
        random.setstate((python["version"], tuple(_integers(python["state"])), python["gauss"]))

    def set_numpy() -> None:
        import numpy

        known = state["numpy"]
        keys = numpy.array(_integers(known["state"]), dtype="uint32")
        numpy.random.set_state((known["name"], keys, known["position"], known["has_gauss"], known["gauss"]))

    def set_cuda() -> None:
        states = state["cuda"]
        count = torch.cuda.device_count() if torch is not None and torch.cuda.is_available() else 0
        for device, known in enumerate(states[:count]):
            torch.cuda.set_rng_state(known.cpu(), device)
        if len(states) != count:
            raise RuntimeError(f"the checkpoint has those of {_devices(len(states))}, and there is {_devices(count)} now")

    def set_accelerator(name: str) -> Callable[[], None]:
        def work() -> None:
            if not _is_available(name):
                raise RuntimeError(f"there is no {name} device here")
            getattr(torch, name).set_rng_state(state[name].cpu())

        return work

    attempt("Python", set_python)
    if "numpy" in state:
        attempt("NumPy", set_numpy)
    if "torch" in state:
        attempt("torch", lambda: torch.set_rng_state(state["torch"].cpu()))
    if "paddle" in state:
        attempt("Paddle", lambda: paddle_random.restore(state["paddle"]))
    if "cuda" in state:
        attempt("CUDA", set_cuda)
    elif torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        failed.append(("CUDA", "the checkpoint was taken without a GPU"))
    for name in _ACCELERATORS:
        if name in state:
            attempt(name, set_accelerator(name))
    for name, known in state.get("own", {}).items():
        if generators and name in generators:
            attempt(name, partial(own_generators.set_state, generators[name], known))
    return failed


def names_in(state: State) -> List[str]:
    """Returns the libraries whose generators a captured state holds."""
    shown = {"python": "Python", "numpy": "NumPy", "torch": "torch", "cuda": "CUDA", "paddle": "Paddle"}
    return [shown.get(name, name) for name in state if name != "own"]


def fingerprint() -> str:
    """Returns a short text that differs when a generator of the CPU has drawn another number."""
    digest = hashlib.blake2b(digest_size=8)
    python, numpy, torch, paddle = cpu_state()
    digest.update(repr(python).encode())
    if numpy is not None:
        digest.update(numpy[1].tobytes())
        digest.update(repr(numpy[2:]).encode())
    if torch is not None:
        digest.update(ctypes.string_at(torch.data_ptr(), torch.numel()))
    if paddle is not None:
        digest.update(paddle_random.fingerprint(paddle).encode())
    return digest.hexdigest()


# ---- generators that a script makes for itself ----


def is_generator(value: Any) -> bool:
    """Tells whether a value is a generator object of torch, NumPy or Python."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Generator):
        return True
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.random.Generator, numpy.random.RandomState)):
        return True
    # That of the operating system has no state.
    return isinstance(value, random.Random) and not isinstance(value, random.SystemRandom)


def is_of_library(value: Any) -> bool:
    """Tells the generators behind the functions of Python, NumPy and torch, whose state each checkpoint holds."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    known = [getattr(random.random, "__self__", None)]
    known += [getattr(numpy.random.rand, "__self__", None)] if numpy is not None else []
    known += [torch.default_generator] if torch is not None else []
    return any(value is one for one in known)


def state_of(generator: Any) -> Any:
    """Returns the state of a generator object, for putting back in the same process."""
    for name in ("get_state", "getstate"):
        if hasattr(generator, name):
            return getattr(generator, name)()
    return generator.bit_generator.state


def fingerprint_of(generator: Any) -> str:
    """Returns the ``fingerprint`` of one generator object."""
    state = state_of(generator)
    if hasattr(state, "data_ptr"):
        state = ctypes.string_at(state.data_ptr(), state.numel())
    elif isinstance(state, tuple) and any(hasattr(item, "tobytes") for item in state):
        state = tuple(item.tobytes() if hasattr(item, "tobytes") else item for item in state)
    return hashlib.blake2b(repr(state).encode(), digest_size=8).hexdigest()


def set_state_of(generator: Any, state: Any) -> None:
    for name in ("set_state", "setstate"):
        if hasattr(generator, name):
            getattr(generator, name)(state)
            return
    generator.bit_generator.state = state


def seed_generator(generator: Any, seed: int) -> None:
    """Makes what a generator object draws next a function of ``seed``."""
    if hasattr(generator, "manual_seed"):
        generator.manual_seed(seed)
    elif hasattr(generator, "bit_generator"):
        generator.bit_generator.state = type(generator.bit_generator)(seed).state
    else:
        generator.seed(seed if isinstance(generator, random.Random) else seed & _WORD)


class Draws:
    """Random numbers apart from the training's own: what is drawn inside ``with`` is a function of the seed and of what was
    drawn inside before, and leaves no trace outside. Can be entered again and again."""

    def __init__(self, seed: int, generators: List[Any]) -> None:
        self._seed = seed
        self._generators = generators
        self._inside: Optional[List[Any]] = None

    def __enter__(self) -> None:
        self._outside = self._get()
        if self._inside is None:
            seed_all(self._seed)
            for i, generator in enumerate(self._generators):
                seed_generator(generator, mix(self._seed, i))
        else:
            self._set(self._inside)

    def __exit__(self, *_: Any) -> None:
        self._inside = self._get()
        self._set(self._outside)

    def _get(self) -> List[Any]:
        return [cpu_state(), *(state_of(generator) for generator in self._generators)]

    def _set(self, states: List[Any]) -> None:
        set_cpu_state(states[0])
        for generator, state in zip(self._generators, states[1:]):
            set_state_of(generator, state)


def _is_available(name: str) -> bool:
    torch = sys.modules.get("torch")
    module = getattr(torch, name, None)
    try:
        return bool(module is not None and hasattr(module, "get_rng_state") and module.is_available())
    except Exception:
        return False


def _of_generators(generators: Mapping[str, Any]) -> State:
    found: State = {}
    for name, generator in generators.items():
        try:
            found[name] = own_generators.state_of(generator)
        except Exception:
            continue  # It is named as a tracked object without a state.
    return found


def _devices(count: int) -> str:
    return "no device" if count == 0 else "1 device" if count == 1 else f"{count} devices"


def _words(values: Any) -> Any:
    """Makes unsigned words of 32 bits, in half of the space that torch's int64 takes; as a list where torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return [int(value) for value in values]
    return torch.tensor(values, dtype=torch.int64).to(torch.int32)


def _integers(words: Any) -> List[int]:
    return [word & _WORD for word in (words if isinstance(words, list) else words.tolist())]
