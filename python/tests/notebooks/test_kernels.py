"""Kernels that end while they train, and the names of notebooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import pytest
import trainstash.notebook as found
from kernels import INIT, LOOP, MODEL, Kernel, Notebook, wait_for, weights

LAST = INIT.replace("optimizer=optimizer", 'optimizer=optimizer, resume="last"')
HOLD = """
import time
def at_step(n):
    if n == 13: open("at 13", "w").close(); time.sleep(60)
"""


def test_after_a_killed_kernel_the_next_one_goes_on_with_the_same_bits_and_says_what_was_lost(kernel: Kernel, tmp_path: Path) -> None:
    ending = Kernel()
    notebook = Notebook(ending, tmp_path)
    notebook.ok(MODEL + HOLD)
    notebook.ok(INIT)
    ending.begin(LOOP.format(epochs=3))
    wait_for((tmp_path / "at 13").exists)
    # The checkpoint of step 8 is written beside the training.
    wait_for(lambda: bool(list(tmp_path.rglob("inbox/0*/checkpoint.json"))))
    ending.kill()
    again = Notebook(kernel, tmp_path)
    assert [(one.outcome, one.is_live) for one in again.sessions()] == [("running", False)]
    again.ok(MODEL)
    assert "goes on from step 8; the 5 steps after it were lost and are trained again" in again.ok(LAST).text
    again.ok(LOOP.format(epochs=3))
    again.leave()
    (tmp_path / "whole").mkdir()
    whole = Notebook(kernel, tmp_path / "whole")
    whole.ok(MODEL)
    whole.ok(INIT)
    whole.ok(LOOP.format(epochs=3))
    whole.leave()
    assert weights(again.sessions()[-1]) == weights(whole.sessions()[0])
    undisturbed = whole.sessions()[0].losses()
    assert again.sessions()[-1].losses() == {step: loss for step, loss in undisturbed.items() if step > 8}


def test_a_kernel_that_is_shut_down_while_it_trains_loses_nothing(tmp_path: Path) -> None:
    ending = Kernel()
    notebook = Notebook(ending, tmp_path)
    notebook.ok("import trainstash, random, time, os\nr = random.Random(1)\nrun = trainstash.init(rng=r)")
    ending.begin("for epoch in run.epochs(100):\n    for i in run.batches(range(50)):\n        time.sleep(0.01); run.step(loss=r.random())")
    wait_for(lambda: bool(notebook.sessions() and notebook.sessions()[0].losses()))
    ending.shut_down()
    (session,) = notebook.sessions()
    steps = max(session.losses())
    assert (session.outcome, session.end["step"], session.facts()["step"]) == ("paused", steps, steps)


def test_two_notebooks_train_at_once(kernel: Kernel, tmp_path: Path) -> None:
    other = Kernel()
    first, second = Notebook(kernel, tmp_path, "a.ipynb"), Notebook(other, tmp_path, "b.ipynb")
    for one in (first, second):
        one.ok(MODEL)
        one.ok(INIT)
    cells = [kernel.begin(LOOP.format(epochs=2)), other.begin(LOOP.format(epochs=2))]
    assert [kernel.finish(cells[0]).error, other.finish(cells[1]).error] == [None, None]
    first.leave()
    other.end()
    assert sorted((one.launch["job"], one.outcome) for one in first.sessions()) == [("a", "completed"), ("b", "completed")]


@pytest.mark.sample
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_in_a_validation_loses_no_step(times: int, notebook: Notebook) -> None:
    notebook.ok(MODEL + "import time")
    notebook.ok(INIT)
    validation = """
    if epoch == AT and not waited:
        waited.append(1)
        print("now", flush=True)
        until = time.monotonic() + WAIT
        while time.monotonic() < until: time.sleep(0.01)
    run.log(val_loss=1.0)
"""
    # Before the first validation has ended nobody knows how long it takes, so the state is held.
    at, steps = (1, 16) if times == 1 else (0, 8)
    notebook.ok(f"waited = []; WAIT = {1 if times == 1 else 60}; AT = {at}")
    cell = notebook.interrupted(LOOP.format(epochs=3) + validation, times)
    assert cell.error is not None and cell.error.startswith("KeyboardInterrupt")
    session = notebook.sessions()[-1]
    assert (session.outcome, session.facts()["step"]) == ("paused", steps)
    notebook.ok(LOOP.format(epochs=3) + validation)
    assert (notebook.sessions()[-1].outcome, min(notebook.sessions()[-1].losses())) == ("completed", steps + 1)


def test_loaders_at_the_same_line_of_two_cells_are_two(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    notebook.ok(INIT)
    notebook.ok("def train():\n    for a, b in run.batches(loader):\n        run.step(loss=1.0)")
    notebook.ok("def check():\n    return [float(a.sum()) for a, b in run.batches(held)]\nheld = torch.utils.data.DataLoader(loader.dataset, batch_size=8, shuffle=True)")
    notebook.ok("seen = []\nfor epoch in run.epochs(2):\n    train()\n    seen.append(check())\nprint(seen[0] != seen[1])")
    state = notebook.sessions()[0].state()["trainstash"]
    assert len(state["loaders"]) == 2 and {one["turn"] for one in state["loaders"].values()} == {2}


def test_a_notebook_is_found_by_what_says_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "in lab.ipynb"))
    assert found.name() == "in lab"
    monkeypatch.setenv("TRAINSTASH_NOTEBOOK", "given.ipynb")
    assert found.name() == "given"
    monkeypatch.delenv("TRAINSTASH_NOTEBOOK")
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert found.name() is None and found.words() is None


def test_a_notebook_that_nobody_names_is_found_by_its_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "one.ipynb", ["a = 1", "run()"])
    _write(tmp_path / "two.ipynb", ["a = 2", "run()"])
    (tmp_path / "broken.ipynb").write_text("{")
    assert found._with_cells(["a = 1", "# Parameters\nn = 1", "run()"]) == str(tmp_path / "one.ipynb")
    assert found._with_cells(["run()"]) is None
    assert found._with_cells(["something else"]) is None


def test_an_unsaved_notebook_and_one_without_a_name_have_runs(notebook: Notebook) -> None:
    notebook.ok("__vsc_ipynb_file__ = 'Untitled-1.ipynb'\nimport trainstash, random\nr = random.Random(1)\nrun = trainstash.init(rng=r)\nfor i in run.batches(range(3)): run.step(loss=1.0)")
    notebook.ok("del __vsc_ipynb_file__\nrun = trainstash.init(rng=r)\nfor i in run.batches(range(3)): run.step(loss=1.0)")
    assert [one.launch["job"] for one in notebook.sessions()] == ["Untitled-1", "notebook"]


def _write(path: Path, cells: List[str]) -> None:
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}))


