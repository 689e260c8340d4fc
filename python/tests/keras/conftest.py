"""One server for each backend, started when a test wants it."""

from __future__ import annotations

from typing import Callable, Dict, Iterator

import pytest
from fits import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Callable[[str], Server]]:
    made: Dict[str, Server] = {}

    def give(backend: str) -> Server:
        if backend not in made:
            made[backend] = Server(backend)
        return made[backend]

    yield give
    for one in made.values():
        one.close()
