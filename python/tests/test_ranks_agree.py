"""Several ranks go on from one state, or none of them starts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Callable, List, Optional

import pytest
import ranks

SCRIPT = "two_hosts.py"


def host(folder: Path) -> Path:
    """Makes a folder that stands for the disk of a host: it has a store of its own."""
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def by_age(folder: Path) -> List[Path]:
    """Lists the states of a host, the oldest first."""
    return sorted(folder.glob(".git/**/state.pt"), key=lambda path: path.stat().st_mtime_ns)


def beginnings(outputs: List[str]) -> List[int]:
    """Returns the step at which each rank begins."""
    return [int(step) for output in outputs for step in re.findall(r"begins at step (\d+)", output)]


def refusal(outputs: List[str]) -> str:
    """Returns the sentence with which all ranks refuse."""
    assert beginnings(outputs) == []
    # The last of its traceback; torch's gloo may add lines when the interpreter ends.
    sentences = [re.findall(r"ResumeError: (.*)", output)[-1:] for output in outputs]
    assert sentences[0] and sentences == [sentences[0]] * len(outputs), outputs
    return str(sentences[0][0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host on whose disk two ranks have trained."""
    folder = host(tmp_path_factory.mktemp("hosts") / "trained")
    assert beginnings(ranks.train(SCRIPT, [folder, folder])) == [0, 0]
    return folder


def test_the_last_checkpoint_of_one_disk_is_that_of_all_ranks(trained: Path) -> None:
    outputs = ranks.train(SCRIPT, [trained] * 3, "last")
    assert len(set(beginnings(outputs))) == 1 and min(beginnings(outputs)) > 0, outputs


def test_a_last_checkpoint_that_only_the_first_host_has_makes_all_refuse(trained: Path, tmp_path: Path) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("no right to hide a folder from a process")
    said = refusal(ranks.train(SCRIPT, [trained, host(tmp_path / "b")], "last", hidden=trained))
    assert "rank 0 has one of step" in said and "rank 1 has no checkpoint" in said


def damaged(folder: Path) -> None:
    state = folder / "state.pt"
    state.write_bytes(state.read_bytes()[:-500])


def with_other_shards(folder: Path) -> None:
    (folder / "shards").mkdir()
    (folder / "shards" / ".metadata").write_bytes(b"x")


@pytest.mark.sample(count=2)
@pytest.mark.parametrize(
    ("which", "change", "said"),
    [
        (None, None, "rank 1 cannot read its checkpoint (There is no checkpoint at kept)"),
        (0, None, "rank 1 has one of step 2 "),
        (-1, damaged, "rank 1 cannot read its checkpoint"),
        (-1, with_other_shards, "rank 1 has one of step"),
    ],
    ids=["nothing", "a stale copy", "a damaged copy", "other shards"],
)
def test_where_one_host_has_something_else_all_refuse_with_the_same_words(
    trained: Path, tmp_path: Path, which: Optional[int], change: Optional[Callable[[Path], None]], said: str
) -> None:
    hosts = [host(tmp_path / "a"), host(tmp_path / "b")]
    shutil.copytree(by_age(trained)[-1].parent, hosts[0] / "kept")
    if which is not None:
        shutil.copytree(by_age(trained)[which].parent, hosts[1] / "kept")
    if change:
        change(hosts[1] / "kept")
    sentence = refusal(ranks.train(SCRIPT, hosts, "kept"))
    assert "rank 0 has one of step" in sentence and said in sentence and "Nothing was started" in sentence


def test_the_same_copy_on_each_disk_is_gone_on_from(trained: Path, tmp_path: Path) -> None:
    hosts = [host(tmp_path / "a"), host(tmp_path / "b")]
    for folder in hosts:
        shutil.copytree(by_age(trained)[-1].parent, folder / "kept")
    first, second = beginnings(ranks.train(SCRIPT, hosts, "kept"))
    assert first == second > 0
