"""Variables that start again, found in a script's text. The table is for every parser that answers the same question: a
name, the line, and after "unless" what the number of batches may be a multiple of."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FrameType
from typing import List

import pytest
from trainstash.loop_variables import Found, analyse

FOLDER = Path(__file__).parent / "loop_variables"
TABLE = json.loads((FOLDER / "cases.json").read_text())


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    found = analyse((FOLDER / f"{name}.py").read_text())
    assert {where: _shown(found[where]) for where in ("inside", "across")} == TABLE[name]


def test_each_file_is_in_the_table() -> None:
    assert sorted(TABLE) == sorted(path.stem for path in FOLDER.glob("*.py"))


def test_the_work_grows_no_faster_than_the_script() -> None:
    """Counts calls, which a slow machine does not change; ``python.analyse`` of the benchmark gives the time."""
    assert _calls(400) < 2.2 * _calls(200)


def _calls(lines: int) -> int:
    source = (FOLDER / "best_and_patience.py").read_text()
    source += "\n".join(f"def f{i}(a):\n    b = a + 1\n    for q in range(a):\n        b += q\n    return b" for i in range(lines // 5))
    calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        analyse(source)
    finally:
        sys.setprofile(before)
    return calls


def _shown(found: List[Found]) -> List[str]:
    return [f"{one.name}:{one.line}" + (f" unless {', '.join(one.unless)}" if one.unless else "") for one in found]
