"""The share of the cases that runs by default: one or a few of each kind, others each time. ``TRAINSTASH_TEST_FULL=1`` runs all."""

from __future__ import annotations

import os
import random
from typing import Any, Dict, List, Optional, Sequence

import pytest

FULL = bool(os.environ.get("TRAINSTASH_TEST_FULL"))
#: The number that draws the sample.
SEED = os.environ.get("TRAINSTASH_TEST_SEED") or str(random.randrange(10**6))
#: The mark of tests and cases that others of their kind stand for.
full = pytest.mark.skipif(not FULL, reason="only in the full run")

DESCRIPTION = (
    "sample(count=1, each=None): by default only so many of the test's cases run; of each kind, if ``each`` names a parameter, or gives the "
    "kind of a case's parameters."
)


def drawn(cases: Sequence[Any], count: int, name: str = "") -> List[Any]:
    """Draws some of the cases, in their order; others with another name."""
    chosen = random.Random(f"{SEED} {name} {len(cases)}").sample(range(len(cases)), min(count, len(cases)))
    return [cases[i] for i in sorted(chosen)]


def mostly_full(cases: Sequence[Any], default: Sequence[Any], count: Optional[int] = None) -> List[Any]:
    """Leaves all but some cases to the full run; ``count``: so many of those are drawn."""
    chosen = default if FULL or count is None else drawn(default, count, str(default))
    return [case if case in chosen else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=full) for case in cases]


def in_turn(kind: str, turn: int, of: int) -> Any:
    """Marks one of ``of`` tests of a kind: in each run one of them has its turn."""
    is_left_out = not FULL and random.Random(f"{SEED} {kind}").randrange(of) != turn
    return pytest.mark.skipif(is_left_out, reason="another one of its kind has its turn in this run")


def leave_out(items: List[pytest.Item]) -> List[pytest.Item]:
    """Takes tests that were not drawn out of the list, and returns them."""
    kinds: Dict[Any, List[Any]] = {}
    for item in items:
        mark = item.get_closest_marker("sample")
        if mark is not None:
            kinds.setdefault((str(item.path), _kind(item, mark.kwargs.get("each")), mark.kwargs.get("count", 1)), []).append(item)
    chosen = {case for (path, kind, count), cases in kinds.items() for case in drawn(cases, count, f"{os.path.basename(path)} {kind}")}
    left_out = [case for cases in kinds.values() for case in cases if case not in chosen]
    items[:] = [item for item in items if item not in left_out]
    return left_out


def _kind(item: Any, each: Any) -> str:
    params = item.callspec.params
    kind = None if each is None else each(params) if callable(each) else params[each]
    return f"{item.originalname} {kind}"
