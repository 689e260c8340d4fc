"""The three lines with what Accelerate prepares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest
from pairs import Launcher, Training, differences
from trials import SCRIPTS


@pytest.mark.sample
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"workers": 2, "data": {"use_stateful_dataloader": True}},
        {"workers": 2, "stays": True, "data": {"use_stateful_dataloader": True}},
        {"accumulate": 4},
        {"data": {"use_seedable_sampler": True}},
        {"accumulate": 5, "data": {"use_stateful_dataloader": True}},
    ],
    ids=str,
)
def test_a_prepared_loader_is_read_from_its_place(launcher: Launcher, tmp_path: Path, how: Dict[str, Any]) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, str(SCRIPTS / "accelerated.py"), HOW=json.dumps(how)).pair(6)
    assert differences(whole, resumed) == []
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert (resumed.newest().grade, resumed.newest().missing) == ("complete", "")


def test_a_loader_that_one_process_reads_for_all_is_named(launcher: Launcher, tmp_path: Path) -> None:
    how = {"plain": True, "data": {"dispatch_batches": True}}
    killed = Training(launcher, tmp_path, str(SCRIPTS / "accelerated.py"), HOW=json.dumps(how)).launch(KILL=6)
    assert killed.was_killed, killed.output
    assert killed.newest().grade == "partial"
    assert "data" in killed.newest().missing
