"""The setup that every test of the package needs: no session of another process, and no module that remembers the last test."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Iterator

import pytest
import trainstash.launching as launching

#: Folders of tests that run in the environment of their framework only, and the package that they need.
FRAMEWORKS = {"notebooks": "ipykernel", "huggingface": "transformers", "keras": "keras", "lightning": "lightning", "paddle": "paddle"}
# A folder of tests with the package's name is found as well, as a package without a file.
collect_ignore = [folder for folder, package in FRAMEWORKS.items() if getattr(find_spec(package), "origin", None) is None]


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes each test a process that nobody launched, whose ``init`` is the first."""
    monkeypatch.delenv("TRAINSTASH_SESSION", raising=False)
    monkeypatch.delenv("TRAINSTASH_OWNER", raising=False)
    monkeypatch.setattr(launching, "_current", None)
    yield


@pytest.fixture(scope="session")
def launcher() -> Iterator[object]:
    """Starts one process that forks for each launch of a script."""
    from pairs import Launcher

    made = Launcher()
    yield made
    made.close()
