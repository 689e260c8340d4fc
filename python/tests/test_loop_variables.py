"""Variables that start again, found in a script's text. The table is for every parser that answers the same question: a
name, the line, and after "unless" what the number of batches may be a multiple of."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path
from typing import List

import pytest
from trainstash.loop_variables import Found, Names, Scope, analyse

FOLDER = Path(__file__).parent / "loop_variables"
TABLE = json.loads((FOLDER / "cases.json").read_text())


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    found = analyse((FOLDER / f"{name}.py").read_text())
    assert {where: _shown(found[where]) for where in ("inside", "across")} == TABLE[name]


def test_each_file_is_in_the_table() -> None:
    assert sorted(TABLE) == sorted(path.stem for path in FOLDER.glob("*.py"))


def test_a_script_of_200_lines_takes_less_than_5_ms() -> None:
    loop = (FOLDER / "best_and_patience.py").read_text()
    source = loop + "\n".join(f"def f{i}(a):\n    b = a + 1\n    for q in range(a):\n        b += q\n    return b" for i in range(38))
    assert len(source.splitlines()) >= 200
    seconds = []
    for _ in range(20):
        before = time.process_time()
        tree = ast.parse(source)
        scope = Scope(tree, Names(tree))
        for loop_node in scope.loops_around(6):
            scope.starts_again(loop_node)
        seconds.append(time.process_time() - before)
    assert min(seconds) < 0.005


def _shown(found: List[Found]) -> List[str]:
    return [f"{one.name}:{one.line}" + (f" unless {', '.join(one.unless)}" if one.unless else "") for one in found]
