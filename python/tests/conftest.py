"""What every test of the package needs: no session of another process, and no module that remembers the last test."""

from __future__ import annotations

from typing import Iterator

import pytest
import trainstash.launching as launching
from pairs import Launcher


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes each test a process that nobody launched, whose ``init`` is the first."""
    monkeypatch.delenv("TRAINSTASH_SESSION", raising=False)
    monkeypatch.delenv("TRAINSTASH_OWNER", raising=False)
    monkeypatch.setattr(launching, "_current", None)
    yield


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """One process that forks for each launch of a script."""
    made = Launcher()
    yield made
    made.close()
