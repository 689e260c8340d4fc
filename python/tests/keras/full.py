"""Tests that only the full run has: each of them starts processes, and the others stand for their kind."""

from __future__ import annotations

import os
from typing import Any, List, Sequence

import pytest

full = pytest.mark.skipif(not os.environ.get("TRAINSTASH_TEST_FULL"), reason="runs with TRAINSTASH_TEST_FULL=1")


def mostly_full(cases: Sequence[Any], default: Sequence[Any]) -> List[Any]:
    """Leaves all but some cases to the full run."""
    return [case if case in default else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=full) for case in cases]
