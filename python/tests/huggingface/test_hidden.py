"""State that a script keeps where Transformers does not look is named."""

from __future__ import annotations

from pathlib import Path

from pairs import Launcher, Training, each_steps

SCRIPT = str(Path(__file__).parent / "scripts" / "hidden.py")


def test_what_functions_classes_and_hooks_keep_is_named_and_each_later_checkpoint_says_so(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, each_steps(2))
    whole = training.launch()
    assert whole.code == 0, whole.output
    first = whole.checkpoints()[0]
    assert first.grade == "partial"
    for name in ("Counts.number", "Counts#0.factors", "SEEN", "calls of loss.<locals>.of"):
        assert f"`{name}` starts again on a resume" in first.missing
    assert "the resume from step 2 went without" in training.launch(first).newest().missing


def test_what_a_collator_counts_is_named_where_workers_call_it(launcher: Launcher, tmp_path: Path) -> None:
    first = Training(launcher, tmp_path, SCRIPT, each_steps(2), WORKERS=1).launch().checkpoints()[0]
    assert "its workers change `batches`, which starts again with them" in first.missing
