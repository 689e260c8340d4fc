"""DDP forms its buckets anew after the first step of a process: from three ranks on a resume sums in another order, and says so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import List

import pytest
import ranks


def weights(outputs: List[str]) -> List[str]:
    found = re.findall(r"WEIGHTS (\w+)", "".join(outputs))
    assert len(found) == len(outputs), outputs
    return found


@pytest.mark.sample(each="is_exact")
@pytest.mark.parametrize(("world", "finds", "is_exact"), [(3, False, False), (3, True, True), (2, False, True)])
def test_a_checkpoint_of_ddp_is_complete_only_where_the_order_of_its_sums_comes_back(
    tmp_path: Path, world: int, finds: bool, is_exact: bool
) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    folders, words = [tmp_path] * world, {"FINDS": str(int(finds))}
    whole = weights(ranks.train("ddp_sums.py", folders, **words))
    facts = [json.loads(path.read_text()) for path in tmp_path.glob(".git/trainstash/sessions/*/inbox/*/checkpoint.json")]
    first = min(tmp_path.glob(".git/trainstash/sessions/*/inbox/*/state.pt"), key=lambda path: path.stat().st_mtime_ns)
    again = weights(ranks.train("ddp_sums.py", folders, str(first), **words))
    assert (again == whole) is is_exact
    assert {one["grade"] for one in facts} == {"complete" if is_exact else "partial"}
    said = "from three processes on DDP sums in another order" in json.dumps(facts)
    assert said is not is_exact
