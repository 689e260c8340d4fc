"""The three lines with what Accelerate prepares."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict

import pytest
from pairs import Launcher, Training, differences
from trials import SCRIPTS

full = pytest.mark.skipif(os.environ.get("TRAINSTASH_TEST_FULL") != "1", reason="only with TRAINSTASH_TEST_FULL=1")


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, marks=full),
        {"workers": 2, "data": {"use_stateful_dataloader": True}},
        pytest.param({"workers": 2, "stays": True, "data": {"use_stateful_dataloader": True}}, marks=full),
        {"accumulate": 4},
        pytest.param({"data": {"use_seedable_sampler": True}}, marks=full),
        pytest.param({"accumulate": 5, "data": {"use_stateful_dataloader": True}}, marks=full),
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
