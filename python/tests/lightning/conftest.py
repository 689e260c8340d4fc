"""One process that has imported Lightning forks for each launch."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

import pytest
from pairs import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    made = Launcher(["lightning", "torchmetrics", "trainstash.lightning", "lightning.pytorch.callbacks"])
    yield made
    made.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Makes a folder, in memory where there is one: checkpoints are synced to the disk, which takes longer than these trainings."""
    path = Path(tempfile.mkdtemp(prefix="trainstash-lightning-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    yield path
    shutil.rmtree(path, ignore_errors=True)
