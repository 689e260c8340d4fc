from typing import Iterator

import pytest
from pairs import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Starts one process that has imported Paddle and forks for each launch of a script."""
    made = Launcher(["paddle"])
    yield made
    made.close()
