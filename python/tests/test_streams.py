"""Streams: one whose code and objects were found to read the same again is exact; of any other the checkpoint is partial, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import NEVER, Launcher, Training, differences


@pytest.mark.sample(count=5)
@pytest.mark.parametrize(
    ("how", "kill", "workers"),
    [
        ("counts", 5, 0), ("counts", 20, 0), ("in place", 20, 0), ("list", 20, 0), ("global", 20, 0), ("closure", 20, 0), ("clock", 20, 0), ("set", 20, 0),
        ("iterator", 20, 0), ("file", 20, 0), ("level", 20, 0), ("trains", 20, 0), ("persistent", 20, 1), ("generator", 20, 0),
        ("unseeded", 20, 0), ("without a seed", 20, 0),
    ],
)  # fmt: skip
def test_one_that_may_read_something_else_is_partial(launcher: Launcher, tmp_path: Path, how: str, kill: int, workers: int) -> None:
    _, killed, resumed = Training(launcher, tmp_path, "streams", NEVER, HOW=how, WORKERS=workers).pair(kill)
    assert killed.newest().grade == "partial"
    assert "the data of streams.py:" in killed.newest().missing
    assert resumed.newest().grade == "partial"


@pytest.mark.sample(count=4)
@pytest.mark.parametrize(
    ("how", "kill", "workers"),
    [
        ("drawing", 1, 0), ("drawing", 20, 0), ("drawing", 32, 0), ("drawing", 20, 2), ("own generator", 20, 0), ("own generator", 20, 1),
        ("buffer", 20, 0), ("set_epoch", 20, 0), ("batched", 20, 0), ("collate", 20, 0), ("counts", 20, 2),
        ("seeded", 20, 0),
    ],
)  # fmt: skip
def test_one_that_reads_the_same_again_is_exact(launcher: Launcher, tmp_path: Path, how: str, kill: int, workers: int) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "streams", NEVER, HOW=how, WORKERS=workers).pair(kill)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []
    assert (resumed.newest().grade, resumed.newest().missing) == ("complete", "")
