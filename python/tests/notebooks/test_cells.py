"""Runs in the cells of one kernel: how they end, and how they go on."""

from __future__ import annotations

from typing import Dict

import pytest
from kernels import INIT, LOOP, MODEL, Notebook, weights

AT_13 = """
import time
def at_step(n):
    # A list or a file that the loop fills would be state that a resume does not put back.
    if n == 13 and not run.resumed:
        print("now", flush=True)
        until = time.monotonic() + 60
        import trainstash.signals as s
        while not s.noted() and time.monotonic() < until: time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def whole(kernel, tmp_path_factory) -> Notebook:  # type: ignore[no-untyped-def]
    """A run of three epochs that nothing disturbs."""
    made = Notebook(kernel, tmp_path_factory.mktemp("whole"))
    made.ok(MODEL)
    made.ok(INIT)
    made.ok(LOOP.format(epochs=3))
    made.leave()
    return made


def all_losses(notebook: Notebook) -> Dict[int, float]:
    found: Dict[int, float] = {}
    for session in notebook.sessions():
        found.update(session.losses())
    return found


def test_a_run_is_completed_with_its_cell_though_the_kernel_lives_on(whole: Notebook) -> None:
    (session,) = whole.sessions()
    assert (session.outcome, session.end["step"], session.is_live) == ("completed", 24, False)
    assert session.launch["job"] == "train"
    assert session.launch["command"]["words"][1:] == ["train.ipynb"]


def test_an_interrupt_pauses_and_the_same_cell_goes_on_with_the_same_bits(notebook: Notebook, whole: Notebook) -> None:
    notebook.ok(MODEL + AT_13)
    notebook.ok(INIT)
    cell = notebook.interrupted(LOOP.format(epochs=3))
    assert cell.error == "KeyboardInterrupt: trainstash: paused at step 13"
    (paused,) = notebook.sessions()
    assert (paused.outcome, paused.end["step"], paused.end["reason"], paused.is_live) == ("paused", 13, "", False)
    assert paused.facts()["step"] == 13 and paused.facts()["grade"] == "complete"
    # The kernel is usable, and what a cell between draws leaves no trace.
    assert notebook.ok("print(torch.randn(3).shape)").error is None
    notebook.ok(LOOP.format(epochs=3))
    sessions = notebook.sessions()
    assert [one.outcome for one in sessions] == ["paused", "completed"]
    assert sessions[1].launch["resume"]["step"] == 13
    assert sessions[1].launch["command"]["dir"] == paused.launch["command"]["dir"]
    assert all_losses(notebook) == all_losses(whole)
    assert weights(sessions[1]) == weights(whole.sessions()[0])
    assert sessions[1].facts()["grade"] == "complete"


def test_a_second_interrupt_breaks_off_at_once_and_the_cell_goes_on_from_the_newest_checkpoint(notebook: Notebook, whole: Notebook) -> None:
    notebook.ok(MODEL + "import time\ndef at_step(n):\n    if n == 13 and not waited:\n        waited.append(n)\n        print('now', flush=True); time.sleep(60)\nwaited = []")
    notebook.ok(INIT)
    cell = notebook.interrupted(LOOP.format(epochs=3), times=2)
    assert cell.error == "KeyboardInterrupt: "
    (broken,) = notebook.sessions()
    assert (broken.outcome, broken.is_live, broken.facts()["step"]) == ("failed", False, 8)
    text = notebook.ok(LOOP.format(epochs=3)).text
    assert "goes on from step 8; the 5 steps after it are trained again" in text
    assert all_losses(notebook) == all_losses(whole)
    assert weights(notebook.sessions()[1]) == weights(whole.sessions()[0])


def test_an_error_in_a_cell_fails_the_run_and_the_mended_cell_goes_on(notebook: Notebook, whole: Notebook) -> None:
    notebook.ok(MODEL + "\ndef at_step(n):\n    if n == 11: raise NameError('oops')")
    notebook.ok(INIT)
    assert notebook.run(LOOP.format(epochs=3)).error == "NameError: oops"
    (failed,) = notebook.sessions()
    assert (failed.outcome, failed.end["reason"], failed.is_live) == ("failed", "NameError: oops", False)
    notebook.ok("def at_step(n): pass")
    notebook.ok(LOOP.format(epochs=3))
    assert all_losses(notebook) == all_losses(whole)
    assert weights(notebook.sessions()[1]) == weights(whole.sessions()[0])


def test_what_was_broken_off_before_its_first_checkpoint_begins_a_new_run(notebook: Notebook) -> None:
    notebook.ok(MODEL + "\ndef at_step(n):\n    if n == 3: raise NameError('oops')")
    notebook.ok(INIT)
    notebook.run(LOOP.format(epochs=1))
    notebook.ok("def at_step(n): pass")
    assert "a new run begins" in notebook.ok(LOOP.format(epochs=1)).text
    first, second = notebook.sessions()
    assert (second.outcome, second.end["step"], second.launch["resume"]) == ("completed", 8, None)
    assert first.launch["command"]["dir"] != second.launch["command"]["dir"]


def test_the_cell_with_init_may_be_run_again(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    notebook.ok(INIT)
    assert "not recorded" not in notebook.ok(INIT).text
    notebook.ok(LOOP.format(epochs=1))
    notebook.ok(INIT + "\n" + LOOP.format(epochs=1))
    assert [(one.outcome, one.end["step"]) for one in notebook.sessions()] == [("stopped", 0), ("completed", 8), ("completed", 8)]


def test_metrics_of_a_later_cell_belong_to_the_same_run(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    notebook.ok(INIT)
    notebook.ok(LOOP.format(epochs=1))
    notebook.ok("run.log(loss=0.5)\nrun.log(loss=0.25)")
    first, second = notebook.sessions()
    assert second.launch["command"]["dir"] == first.launch["command"]["dir"]
    assert (second.losses(), second.outcome, second.checkpoints()) == ({8: 0.25}, "completed", [])


def test_what_is_changed_between_two_cells_stays_and_is_said(notebook: Notebook) -> None:
    notebook.ok(MODEL + AT_13)
    notebook.ok(INIT)
    notebook.interrupted(LOOP.format(epochs=3))
    notebook.ok("optimizer.param_groups[0]['lr'] = 0.5")
    notebook.ok(LOOP.format(epochs=3) + "\nprint(optimizer.param_groups[0]['lr'])")
    facts = notebook.sessions()[1].facts()
    assert facts["grade"] == "partial" and "`optimizer` was changed between two cells" in str(facts["missing"])
    assert notebook.ok("print(optimizer.param_groups[0]['lr'])").text == "0.5\n"


def test_a_loader_that_another_cell_has_wrapped_goes_on(notebook: Notebook, whole: Notebook) -> None:
    notebook.ok(MODEL + AT_13)
    notebook.ok(INIT + "\nbatches = run.batches(loader)\ns = run.state(total=0.0)")
    loop = LOOP.format(epochs=3).replace("run.batches(loader)", "batches") + "        s.total += loss.item()\n"
    notebook.interrupted(loop)
    notebook.ok(loop)
    assert all_losses(notebook) == all_losses(whole)
    total = float(notebook.ok("print(s.total)").text)
    assert total == pytest.approx(sum(all_losses(whole).values()))


def test_a_model_that_is_made_anew_after_init_is_named(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    notebook.ok(INIT)
    notebook.ok(MODEL)
    notebook.ok(LOOP.format(epochs=1))
    facts = notebook.sessions()[0].facts()
    assert facts["grade"] == "partial" and "model" in str(facts["missing"])


def test_an_interrupt_elsewhere_is_an_ordinary_one(notebook: Notebook) -> None:
    notebook.ok(MODEL)
    notebook.ok(INIT)
    notebook.ok(LOOP.format(epochs=1))
    assert notebook.interrupted("import time\nprint('now', flush=True); time.sleep(60)").error == "KeyboardInterrupt: "
