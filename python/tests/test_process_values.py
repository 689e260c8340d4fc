"""Values that are others in each process: what is shown is harmless, and all else is named."""

from __future__ import annotations

import ast
import types
from pathlib import Path
from typing import Any, Dict, Optional

import pytest
from trainstash.code_parts import part_of_loop
from trainstash.process_values import dependence

BEGINNING = """
import datetime, logging, os, random, time
import torch
NAMES = {"a", "b", "c"}
NUMBERS = {1, 2, 3}
log = logging.getLogger(__name__)

class Meter:
    def update(self, value):
        self.sum = value
    def text(self):
        return f"{self.sum:.2f}"
    def log(self, *words):
        print(*words)

class Timer:
    def __enter__(self):
        self.begun = time.perf_counter()
        return self
    def __exit__(self, *error):
        self.took = time.perf_counter() - self.begun

def since(begun):
    return time.time() - begun

def now():
    return time.time() % 1

def scaled(x, by):
    return x * by

def show(epoch, took):
    print(f"epoch {epoch} took {took:.1f} s")

meter, timer, begun, model, times = Meter(), Timer(), time.time(), abs, []
for x in range(2):
"""
#: Loops that only show such a value.
SHOWN = [
    "print(time.time() - begun)", "took = since(begun)\nlog.info('%s', took)", "show(x, time.time() - begun)", "meter.update(time.time())\nprint(meter.text())",
    "with timer:\n    model(x)\nprint(timer.took)", "if time.time() - begun > 60:\n    print('long')\n    begun = time.time()", "times.append(time.time())\nprint(sum(times))",
    "if time.time() - begun > 60:\n    run.checkpoint()", "os.kill(os.getpid(), 0)", "for name in NAMES:\n    print(name)", "y = [n for n in sorted(NAMES)]\nmodel(y)",
    "for n in NUMBERS:\n    model(n)", "if x in NAMES:\n    model(x)", "seen = {}\nseen[id(x)] = model(x)", "stamp = datetime.datetime.now().isoformat()\nprint(stamp)",
    "rate = x / (time.time() - begun)\nrun.log(rate=rate, loss=model(x))",
    "until = time.time() + 20\nwhile time.time() < until and not os.listdir('.'):\n    time.sleep(0.02)", "while time.time() - begun < 1:\n    pass",
    "while True:\n    if os.path.exists('a') or time.time() - begun > 9:\n        break\n    time.sleep(0.1)",
    "for _ in range(9):\n    if time.time() > begun:\n        break\n    time.sleep(1)",
]  # fmt: skip
#: Loops that depend on one, and the name that is told.
DEPENDING = {
    "model(time.time())": "time", "y = now()\nmodel(y)": "time", "model(scaled(x, now()))": "time", "x = x * (time.time() - begun)\nmodel(x)": "time",
    "if time.time() - begun > 1:\n    break": "time", "if time.time() - begun > 1:\n    x = 2\nmodel(x)": "time", "random.seed(os.getpid())": "getpid",
    "meter.update(time.time())\nmodel(meter.sum)": "time", "with timer:\n    pass\nmodel(timer.took)": "perf_counter", "times.append(time.time())\nmodel(times[-1])": "time",
    "model(begun % 7)": "begun", "model(list(NAMES)[0])": "NAMES", "for n in NAMES:\n    model(n)": "NAMES", "for n in {'a', 'b'}:\n    model(n)": "{…}",
    "while time.time() - begun < 1:\n    x = model(x)\nmodel(x)": "time", "while True:\n    model(x)\n    if time.time() > begun:\n        break": "time",
    "model(id(x) % 7)": "id", "torch.manual_seed(int(time.time()))": "time", "model(datetime.datetime.now().second)": "now",
}  # fmt: skip


@pytest.mark.parametrize("code", SHOWN)
def test_a_value_that_is_only_shown_is_harmless(code: str, tmp_path: Path) -> None:
    assert _found(code, tmp_path) is None


@pytest.mark.parametrize("code", DEPENDING)
def test_a_value_that_the_training_depends_on_is_named(code: str, tmp_path: Path) -> None:
    assert _found(code, tmp_path) == f"`{DEPENDING[code]}`"


def _found(code: str, folder: Path) -> Optional[str]:
    path = folder / "train.py"
    text = BEGINNING + "".join(f"    {line}\n" for line in code.split("\n"))
    path.write_text(text)
    tree = ast.parse(text)
    loop = tree.body[-1]
    spaces: Dict[str, Any] = {"__name__": "train"}
    exec(compile(ast.Module(tree.body[:-1], []), str(path), "exec"), spaces)
    made = [value for value in spaces.values() if isinstance(value, (types.FunctionType, type)) and value.__module__ == "train"]
    functions = [one for value in made for one in (vars(value).values() if isinstance(value, type) else [value]) if isinstance(one, types.FunctionType)]
    before = {key: node.value.elts[place] for node in tree.body for key, place in [("begun", 2)] if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)}
    depends = dependence(part_of_loop(loop, compile(tree, str(path), "exec"), spaces), before, functions)
    return depends.name if depends else None
