"""Several ranks go on from one state, or none of them starts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

import pytest

from pairs import HERE

SCRIPT = HERE / "scripts" / "two_hosts.py"


def host(folder: Path) -> Path:
    """Makes a folder that stands for the disk of a host: it has a store of its own."""
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def train(folders: List[Path], resume: Optional[str] = None, hidden: Optional[Path] = None) -> List[str]:
    """Runs one rank in each folder. Returns what each printed. ``hidden``: a folder that ranks other than 0 do not see."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAINSTASH")}
    env.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(len(folders)), OMP_NUM_THREADS="1")
    env.update(PYTHONPATH=str(HERE.parent), FOLDERS=":".join(map(str, folders)), **({"RESUME": resume} if resume else {}))
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{hidden}" && exec "$@"', "sh"] if hidden else []
    ranks = [
        subprocess.Popen([*(hide if rank else []), sys.executable, SCRIPT], env={**env, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(len(folders))
    ]
    try:
        return [rank.communicate(timeout=60)[0] for rank in ranks]
    finally:
        for rank in ranks:
            if rank.poll() is None:
                rank.kill()


def by_age(folder: Path) -> List[Path]:
    """Lists the states of a host, the oldest first."""
    return sorted(folder.glob(".git/**/state.pt"), key=lambda path: path.stat().st_mtime_ns)


def newest(folder: Path) -> Path:
    return by_age(folder)[-1]


def beginnings(outputs: List[str]) -> List[int]:
    """Returns the step at which each rank begins."""
    return [int(step) for output in outputs for step in re.findall(r"begins at step (\d+)", output)]


def refusals(outputs: List[str]) -> List[str]:
    """Returns the last line of each rank that refuses, without the error's class."""
    return [output.strip().splitlines()[-1].partition("ResumeError: ")[2] for output in outputs]


@pytest.fixture
def hosts(tmp_path: Path) -> List[Path]:
    return [host(tmp_path / "a"), host(tmp_path / "b")]


def test_the_last_checkpoint_of_one_disk_is_that_of_all_ranks(hosts: List[Path]) -> None:
    here = hosts[0]
    assert beginnings(train([here, here], "last")) == [0, 0]
    outputs = train([here, here], "last")
    first, second = beginnings(outputs)
    assert first == second > 0, outputs


def test_a_rank_whose_disk_lacks_the_checkpoint_makes_all_refuse_with_the_same_words(hosts: List[Path]) -> None:
    train([hosts[0], hosts[0]])
    shutil.copytree(newest(hosts[0]).parent, hosts[0] / "kept")
    outputs = train(hosts, "kept")
    first, second = refusals(outputs)
    assert first == second != "", outputs
    assert "rank 0 has one of step" in first
    assert "rank 1 cannot read its checkpoint (There is no checkpoint at kept. Nothing was started)" in first
    assert "begins" not in "".join(outputs)


def test_a_stale_copy_on_one_disk_makes_all_refuse(hosts: List[Path]) -> None:
    train([hosts[0], hosts[0]])
    shutil.copytree(by_age(hosts[0])[0].parent, hosts[1] / "kept")
    shutil.copytree(newest(hosts[0]).parent, hosts[0] / "kept")
    outputs = train(hosts, "kept")
    first, second = refusals(outputs)
    assert first == second != "", outputs
    assert "rank 0 has one of step" in first and "rank 1 has one of step 2 " in first
    assert "begins" not in "".join(outputs)


def test_the_same_copy_on_each_disk_is_gone_on_from(hosts: List[Path]) -> None:
    train([hosts[0], hosts[0]])
    for folder in hosts:
        shutil.copytree(newest(hosts[0]).parent, folder / "kept")
    outputs = train(hosts, "kept")
    first, second = beginnings(outputs)
    assert first == second > 0, outputs


def test_a_last_checkpoint_that_only_the_first_host_has_makes_all_refuse(hosts: List[Path]) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("no right to hide a folder from a process")
    train([hosts[0], hosts[0]])
    outputs = train(hosts, "last", hidden=hosts[0])
    first, second = refusals(outputs)
    assert first == second != "", outputs
    assert "rank 0 has one of step" in first and "rank 1 has no checkpoint" in first
    assert "begins" not in "".join(outputs)
