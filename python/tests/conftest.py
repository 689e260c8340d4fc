"""The setup that every test of the package needs: no session of another process, no module that remembers the last test, and the share
of the cases that runs by default."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Iterator, List

import pytest
import trainstash.launching as launching
from sampling import DESCRIPTION, FULL, SEED, leave_out

#: Folders of tests that run in the environment of their framework only, and the package that they need.
FRAMEWORKS = {"notebooks": "ipykernel", "huggingface": "transformers", "keras": "keras", "lightning": "lightning", "paddle": "paddle"}
# A folder of tests with the package's name is found as well, as a package without a file.
collect_ignore = [folder for folder, package in FRAMEWORKS.items() if getattr(find_spec(package), "origin", None) is None]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", DESCRIPTION)


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    # Whoever names a case wants that one.
    if not FULL and not config.option.keyword and not any("::" in word for word in config.args):
        config.hook.pytest_deselected(items=leave_out(items))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not FULL:
        terminalreporter.write_line(f"A sample ran: TRAINSTASH_TEST_SEED={SEED} draws it again, TRAINSTASH_TEST_FULL=1 runs all.")


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
