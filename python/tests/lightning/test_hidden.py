"""State that a script keeps where Lightning does not look is kept, or named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import Launcher, Training, each_steps

SCRIPT = str(Path(__file__).parent / "scripts" / "hidden.py")


@pytest.mark.parametrize(
    "keeps, names",
    [
        ("global class slots iterator", ["`COUNT`", "`Net.calls`", "`module.meter.number`", "`module.factors`"]),
        ("hook rate function", ["`SEEN`", "`calls of counting.<locals>.count`"]),
    ],
)
def test_what_functions_classes_and_hooks_keep_is_named_and_each_later_checkpoint_says_so(launcher: Launcher, folder: Path, keeps: str, names: list[str]) -> None:
    training = Training(launcher, folder, SCRIPT, each_steps(4), KEEPS=keeps)
    first = training.launch().checkpoints()[0]
    resumed = training.launch(first).newest()
    assert (first.grade, resumed.grade) == ("partial", "partial")
    for name in names:
        assert f"{name} starts again on a resume" in first.missing
    assert "the resume from step 4 went without" in resumed.missing


def test_validation_data_that_changes_while_it_is_read_is_named(launcher: Launcher, folder: Path) -> None:
    first = Training(launcher, folder, SCRIPT, each_steps(4), KEEPS="validation").launch().checkpoints()[0]
    assert first.missing == "the validation data (`reads` of its data set changes while it is read, and starts again)"


def test_networks_and_metrics_beside_the_module_go_on(launcher: Launcher, folder: Path) -> None:
    training = Training(launcher, folder, SCRIPT, each_steps(4), KEEPS="teacher callback")
    whole, killed = training.launch(), training.launch(KILL=7)
    assert killed.was_killed, killed.output
    resumed = training.launch(killed.newest())
    assert (killed.newest().facts["step"], killed.newest().missing, resumed.newest().missing) == (4, "", "")
    first, second = ({event["step"]: event["values"] for event in launch.events("metrics")} for launch in (whole, resumed))
    assert second[10] == first[10]
    state = whole.newest().state()
    assert [key for key, value in resumed.newest().state().items() if ".networks." in key and not (value == state[key]).all()] == []
