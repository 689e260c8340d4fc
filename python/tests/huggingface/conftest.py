"""A process that has imported Transformers, and forks for each launch of a script."""

from __future__ import annotations

from typing import Iterator

import pytest
from pairs import Launcher

pytest.register_assert_rewrite("trials")

@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("TOKENIZERS_PARALLELISM", "false")
    made = Launcher(["huggingface.warm"])
    yield made
    made.close()
    patch.undo()
