"""One kernel for all tests that do not kill theirs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kernels import Kernel, Notebook  # noqa: E402


@pytest.fixture(scope="session")
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    made.run("import torch; torch.set_num_threads(1)")
    yield made
    made.end()


@pytest.fixture
def notebook(kernel: Kernel, tmp_path: Path) -> Iterator[Notebook]:
    """A notebook of its own in the kernel that all share."""
    made = Notebook(kernel, tmp_path)
    yield made
    made.leave()
