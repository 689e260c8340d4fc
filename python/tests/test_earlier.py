"""Checkpoints of earlier versions, as they lie in stores: a resume goes on from them as that version would have."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import NEVER, Checkpoint, Launcher, Training

FOLDER = Path(__file__).parent / "earlier"


@pytest.mark.parametrize("version", ["0.1.0"])
def test_a_training_goes_on_from_the_middle_of_its_epoch(launcher: Launcher, tmp_path: Path, version: str) -> None:
    saved = Checkpoint(FOLDER / version)
    assert (saved.facts["step"], saved.facts["epoch"], saved.facts["batch"]) == (13, 1, 5)
    resumed = Training(launcher, tmp_path, "earlier", NEVER).launch(resume=saved)
    assert resumed.code == 0, resumed.output
    lines = [line.split() for line in resumed.output.splitlines() if line[:1].isdigit()]
    then = [line.split() for line in (FOLDER / version / "steps.txt").read_text().splitlines()]
    assert [step for step, _ in lines] == [step for step, _ in then]
    # Another processor may round in another way; another order of the data gives losses of another size.
    assert [float(loss) for _, loss in lines] == pytest.approx([float(loss) for _, loss in then], rel=1e-3)
    assert (resumed.newest().grade, resumed.newest().missing) == ("complete", "")
