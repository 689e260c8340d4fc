"""The rule by which a process recognises the allocation of a scheduler; the command line has the same cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest
from trainstash import allocation

CASES = json.loads((Path(__file__).parent / "allocations.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_an_allocation_is_recognised(case: Dict[str, Any]) -> None:
    found = allocation.allocation_of(case["variables"], case["terminal"], case["cgroup"])
    if case["kind"] is None:
        assert found is None
    else:
        assert found is not None
        facts = found._asdict()
        assert facts["kind"] == case["kind"]
        for name in ("job", "restart", "node"):
            if name in case:
                assert facts[name] == case[name]


def test_a_script_asks_to_be_started_again_only_in_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINSTASH_ALLOCATION", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    assert allocation.exit_code("SIGTERM") == 75
    assert allocation.exit_code(None) == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert allocation.exit_code("SIGTERM") == 0
    monkeypatch.delenv("RANK")
    monkeypatch.setenv("TRAINSTASH_ALLOCATION", "none")
    assert allocation.exit_code("SIGTERM") == 0
