"""Random number generators: all that a training can draw from without anybody's telling."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any, Dict, List, Optional


def mix(*parts: Any) -> int:
    """63 bits that depend on every part."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & (2**63 - 1)


def seed_all(seed: int) -> None:
    """CPU generators only: those of a GPU are not used while data is read."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed & 0xFFFFFFFF)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(seed)


def cpu_state() -> List[Any]:
    """The live objects: for putting back in the same process."""
    numpy = sys.modules.get("numpy")
    torch = sys.modules.get("torch")
    return [
        random.getstate(),
        numpy.random.get_state() if numpy is not None else None,
        torch.get_rng_state() if torch is not None else None,
    ]


def set_cpu_state(state: List[Any]) -> None:
    random.setstate(state[0])
    if state[1] is not None:
        sys.modules["numpy"].random.set_state(state[1])
    if state[2] is not None:
        sys.modules["torch"].set_rng_state(state[2])


def capture() -> Dict[str, Any]:
    """For a checkpoint: tensors and plain values alone."""
    import torch

    version, internal, gauss = random.getstate()
    state: Dict[str, Any] = {
        "python": {"version": version, "state": torch.tensor(internal, dtype=torch.int64), "gauss": gauss},
        "torch": torch.get_rng_state(),
    }
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, position, has_gauss, cached = numpy.random.get_state()
        keys = torch.tensor(keys.astype("int64").tolist(), dtype=torch.int64)
        state["numpy"] = {
            "name": str(name),
            "state": keys,
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(cached),
        }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = list(torch.cuda.get_rng_state_all())
    return state


def restore(state: Dict[str, Any]) -> List[str]:
    """Returns what could not be restored, for people; empty when all was."""
    import torch

    missing: List[str] = []

    def attempt(name: str, work: Any) -> None:
        try:
            work()
        except Exception as error:
            missing.append(f"random numbers of {name} ({error})")

    def set_python() -> None:
        python = state["python"]
        random.setstate((python["version"], tuple(python["state"].tolist()), python["gauss"]))

    def set_numpy() -> None:
        import numpy

        known = state["numpy"]
        keys = numpy.array(known["state"].tolist(), dtype="uint32")
        numpy.random.set_state((known["name"], keys, known["position"], known["has_gauss"], known["gauss"]))

    def set_cuda() -> None:
        states = state["cuda"]
        if len(states) != torch.cuda.device_count():
            raise RuntimeError(f"{len(states)} devices then, {torch.cuda.device_count()} now")
        torch.cuda.set_rng_state_all([one.cpu() for one in states])

    attempt("Python", set_python)
    if "numpy" in state:
        attempt("NumPy", set_numpy)
    attempt("torch", lambda: torch.set_rng_state(state["torch"].cpu()))
    if "cuda" in state:
        attempt("CUDA", set_cuda)
    return missing


class Scope:
    """Draws inside are a function of ``seed`` alone, and leave no trace outside; ``generators`` are torch's own."""

    def __init__(self, seed: Optional[int], generators: List[Any]) -> None:
        self._seed = seed
        self._generators = generators

    def __enter__(self) -> None:
        self._before = cpu_state()
        self._states = [generator.get_state() for generator in self._generators]
        if self._seed is not None:
            seed_all(self._seed)
            for i, generator in enumerate(self._generators):
                generator.manual_seed(mix(self._seed, i))

    def __exit__(self, *_: Any) -> None:
        set_cpu_state(self._before)
        for generator, state in zip(self._generators, self._states):
            generator.set_state(state)
