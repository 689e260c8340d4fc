"""State that a script keeps where Paddle does not look is kept, or named."""

from __future__ import annotations

from pathlib import Path

from pairs import Launcher, Training, each_steps

SCRIPT = str(Path(__file__).parent / "scripts" / "hidden.py")


def test_a_loss_goes_on_counting_and_what_functions_and_other_networks_keep_is_named(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, each_steps(2))
    whole = training.launch()
    assert "CALLS 6" in whole.output
    first = whole.checkpoints()[0]
    for name in ("COUNT", "Average.network", "batches of joined.<locals>.join"):
        assert f"`{name}` starts again on a resume" in first.missing
    resumed = training.launch(first)
    assert "CALLS 6" in resumed.output
    assert "the resume from step 2 went without `COUNT`" in resumed.newest().missing
