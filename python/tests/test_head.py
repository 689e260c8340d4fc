"""HEAD for a script that is started by hand, also where git does not answer: reported as such, and never a second store."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from trainstash.unmanaged import find_store
from trainstash.head import Head, read_head


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "fix/ü")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@pytest.fixture
def no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def test_a_missing_git_is_said_and_its_files_tell(repository: Path, no_git: None) -> None:
    head = read_head(str(repository))
    assert (head.branch, head.problem) == ("fix/ü", "there is no program `git` on the PATH")
    assert head.commit == (repository / ".git/refs/heads/fix/ü").read_text().strip()
    assert find_store(str(repository))[1] == str(repository / ".git" / "trainstash")


@pytest.mark.parametrize("kind", ["packed", "worktree", "detached", "unborn"])
def test_files_say_what_git_says(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    folder = repository
    if kind == "packed":
        git(repository, "pack-refs", "--all")
    elif kind == "worktree":
        folder = tmp_path / "other"
        git(repository, "worktree", "add", "-q", "-b", "there", str(folder))
    elif kind == "detached":
        git(repository, "checkout", "-q", "--detach")
    else:
        git(repository, "checkout", "-q", "--orphan", "new")
    told = read_head(str(folder))
    assert told.problem is None
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert read_head(str(folder))[:2] == told[:2]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_another_user_is_said_to_be_one(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, folders, files in os.walk(repository):
        for name in (".", *folders, *files):
            os.lchown(os.path.join(place, name), 65534, 65534)
    head = read_head(str(repository))
    assert head.branch == "fix/ü" and head.commit is not None
    assert head.problem and "belongs to user 65534" in head.problem and "safe.directory" in head.problem
    assert find_store(str(repository))[1] == str(repository / ".git" / "trainstash")


def test_a_damaged_repository_is_said_to_be_one(repository: Path) -> None:
    (repository / ".git/config").write_text("[core\n")
    head = read_head(str(repository))
    assert head.branch == "fix/ü" and head.problem and head.problem.startswith("git cannot read the repository (git: ")


def test_git_that_does_not_end_is_not_waited_for(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("trainstash.head._SECONDS", 0.2)
    assert read_head(str(repository)).problem == "`git` did not end within 0.2 seconds"


def test_variables_of_git_do_not_lead_to_another_repository(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "-b", "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert read_head(str(repository)).branch == "fix/ü"


def test_a_folder_without_git_has_neither_and_nothing_is_said(tmp_path: Path) -> None:
    assert read_head(str(tmp_path)) == Head(None, None, None)
