"""Killed and resumed is the same training, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import EACH_EPOCH, Launcher, Training, differences


@pytest.mark.parametrize("kill", [1, 5, 15, 17, 32, 47])
def test_from_inside_an_epoch(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "plain").pair(kill)
    assert differences(whole, resumed) == []


@pytest.mark.parametrize("kill", [17, 20, 33])
def test_from_the_end_of_an_epoch(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "plain", EACH_EPOCH, CHECKPOINT=0).pair(kill)
    newest = killed.newest()
    assert (newest.facts["epoch"], newest.facts["batch"], newest.facts["step"]) == (kill // 16, 0, kill // 16 * 16)
    assert "val_loss" in newest.facts["metrics"]
    assert differences(whole, resumed) == []
    assert min(resumed.log()) == newest.facts["step"] + 1
