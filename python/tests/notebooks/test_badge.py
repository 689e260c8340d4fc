"""The badge on the cell that trains."""

from __future__ import annotations

from typing import Any, Dict, List

from kernels import INIT, LOOP, MODEL, Cell, Notebook
from test_cells import AT_13
from trainstash.badge import Badge, badge_of


def badges(cell: Cell) -> List[Dict[str, Any]]:
    shown = [*cell.displays(), *cell.displays("update_display_data")]
    return [one for one in shown if str(one["transient"].get("display_id", "")).startswith("trainstash-")]


def test_a_cell_has_one_badge_that_ends_with_the_state_of_the_run(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    assert badges(notebook.ok(INIT)) == []
    cell = notebook.ok(LOOP.format(epochs=3))
    assert len(cell.displays()) == 1 and len({one["transient"]["display_id"] for one in badges(cell)}) == 1
    text = badges(cell)[-1]["data"]["text/plain"]
    assert text.startswith("trainstash: train completed · step 24 of 24 · epoch 3 of 3 · loss ")
    assert "<b>train</b>" in badges(cell)[-1]["data"]["text/html"]


def test_the_badge_of_a_paused_cell_says_how_it_goes_on_and_the_next_cell_has_its_own(notebook: Notebook) -> None:
    notebook.ok(MODEL + AT_13)
    notebook.ok(INIT)
    paused = badges(notebook.interrupted(LOOP.format(epochs=3)))
    assert "train paused · step 13 of 24" in paused[-1]["data"]["text/plain"]
    assert "run the cell again to go on" in paused[-1]["data"]["text/html"]
    done = badges(notebook.ok(LOOP.format(epochs=3)))
    assert "completed · step 24" in done[-1]["data"]["text/plain"]
    assert done[0]["transient"] != paused[0]["transient"]


def test_an_error_in_the_cell_is_in_its_badge(notebook: Notebook) -> None:
    notebook.ok(MODEL + "\ndef at_step(n):\n    if n == 3: raise NameError('<oops>')")
    notebook.ok(INIT)
    last = badges(notebook.run(LOOP.format(epochs=1)))[-1]["data"]
    assert "failed" in last["text/plain"] and "&lt;oops&gt;" in last["text/html"] and "<oops>" not in last["text/html"]


def test_a_badge_is_updated_twice_a_second_at_most_and_costs_a_thousandth(notebook: Notebook) -> None:
    notebook.ok("import trainstash, random, time\nr = random.Random(1)\nrun = trainstash.init(rng=r)")
    cell = notebook.ok("began = time.monotonic()\nfor epoch in run.epochs(1):\n    for i in run.batches(range(120)):\n        time.sleep(0.01); run.step(loss=r.random())\nprint(time.monotonic() - began)")
    seconds = float(cell.text.strip().splitlines()[-1])
    assert 2 <= len(badges(cell)) <= 3 + 2 * seconds
    assert max(len(str(one["data"])) for one in badges(cell)) < 2000


def test_no_badge_where_nobody_wants_one(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    notebook.ok(INIT.replace("optimizer)", "optimizer, badge=False)"))
    assert badges(notebook.ok(LOOP.format(epochs=1))) == []
    notebook.ok("import os; os.environ['TRAINSTASH_BADGE'] = '0'")
    notebook.ok(INIT)
    assert badges(notebook.ok(LOOP.format(epochs=1) + "\ndel os.environ['TRAINSTASH_BADGE']")) == []


def test_a_script_has_none() -> None:
    assert badge_of("train", True) is None


def test_what_breaks_a_badge_breaks_no_training() -> None:
    badge = Badge("train")
    badge.take("metrics", "no JSON")
    badge.end("completed", "")
