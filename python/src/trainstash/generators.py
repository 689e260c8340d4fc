"""Random generators of the user's own: their state out and in again."""

from __future__ import annotations

import random
import sys
from typing import Any

_SPAWNED = "trainstash.spawned"


def state_of(generator: Any) -> Any:
    """Returns a generator's state as plain values, arrays and tensors. Raises whatever a generator without one raises."""
    if isinstance(generator, random.Random):
        version, internal, gauss = generator.getstate()
        return {"version": version, "state": list(internal), "gauss": gauss}
    if _is_random_state(generator):
        return generator.get_state(legacy=False)
    bits = bits_of(generator)
    if bits is None:
        return generator.get_state()
    spawned = getattr(getattr(bits, "seed_seq", None), "n_children_spawned", 0)
    return {**bits.state, **({_SPAWNED: int(spawned)} if spawned else {})}


def set_state(generator: Any, saved: Any) -> None:
    """Puts a state back. Raises ValueError when it is of another kind of generator."""
    if isinstance(generator, random.Random):
        generator.setstate((saved["version"], tuple(saved["state"]), saved["gauss"]))
        return
    if _is_random_state(generator):
        generator.set_state(saved)
        return
    bits = bits_of(generator)
    if bits is None:
        generator.set_state(saved)
        return
    then, now = saved.get("bit_generator"), type(bits).__name__
    if then != now:
        raise ValueError(f"it was a {then} when the checkpoint was taken, and is a {now} now")
    bits.state = {key: value for key, value in saved.items() if key != _SPAWNED}
    missing = int(saved.get(_SPAWNED, 0)) - int(getattr(getattr(bits, "seed_seq", None), "n_children_spawned", 0))
    if missing > 0:
        # So that the next child is another one than the last.
        bits.seed_seq.spawn(missing)


def bits_of(generator: Any) -> Any:
    """Finds NumPy's source of bits in or behind a generator; None for one of torch."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None and isinstance(generator, numpy.BitGenerator):
        return generator
    return getattr(generator, "bit_generator", None)


def _is_random_state(generator: Any) -> bool:
    numpy = sys.modules.get("numpy.random")
    return numpy is not None and isinstance(generator, numpy.RandomState)
