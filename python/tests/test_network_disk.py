"""On a network file system a script says what the command line says, and its checkpoints are gone on from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from pairs import PACKAGE

_SERVER = "/usr/lib/openssh/sftp-server"

SCRIPT = """
import os, trainstash
run = trainstash.init(resume="last")
print("begins at", run.steps)
for epoch in run.epochs(int(os.environ["EPOCHS"])):
    for x in run.batches([1, 2, 3]):
        run.step(loss=x)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of another file system, through FUSE and SFTP, without a network."""
    if shutil.which("sshfs") is None or not os.path.exists(_SERVER) or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("no sshfs, no sftp-server, or no right to mount with FUSE")
    folder, real, ssh = tmp_path / "disk", tmp_path / "real", tmp_path / "ssh"
    folder.mkdir()
    real.mkdir()
    ssh.write_text(f"#!/bin/sh\nexec {_SERVER}\n")
    ssh.chmod(0o755)
    subprocess.run(["sshfs", "-o", f"ssh_command={ssh}", f"host:{real}", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_script_says_where_its_checkpoints_stay_and_goes_on_from_them(disk: Path) -> None:
    subprocess.run(["git", "init", "-q", disk], check=True)
    (disk / "train.py").write_text(SCRIPT)
    # With the home on the network as well, this machine has no place for the store.
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("TRAINSTASH")}, "HOME": str(disk)}
    for epochs, begins in ((2, 0), (3, 6)):
        done = subprocess.run(
            [sys.executable, "train.py"], cwd=disk, env={**env, "PYTHONPATH": str(PACKAGE), "EPOCHS": str(epochs)}, capture_output=True, text=True
        )
        assert f"begins at {begins}\n" in done.stdout, done.stderr
        assert f"{disk}/.git/trainstash is on a network or pass-through file system (FUSE or virtiofs), where database locks do not hold" in done.stderr
        assert 'resume="last" goes on from them' in done.stderr and "it is recorded in" not in done.stderr


def test_the_store_stands_on_this_machine_where_a_folder_for_it_is_known(disk: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", disk], check=True)
    (disk / "train.py").write_text(SCRIPT)
    env = {**os.environ, "HOME": str(disk), "TRAINSTASH_STATE": str(tmp_path / "state"), "PYTHONPATH": str(PACKAGE)}
    for epochs, begins in ((2, 0), (3, 6)):
        done = subprocess.run([sys.executable, "train.py"], cwd=disk, env={**env, "EPOCHS": str(epochs)}, capture_output=True, text=True)
        assert f"begins at {begins}\n" in done.stdout, done.stderr
        assert f"it is recorded in {tmp_path}/state/stores/disk-" in done.stderr
    assert not (disk / ".git" / "trainstash").exists()
    chosen = tmp_path / "scratch"
    (tmp_path / "state" / "stores-folder.json").write_text(json.dumps({"folder": str(chosen)}))
    done = subprocess.run([sys.executable, "train.py"], cwd=disk, env={**env, "EPOCHS": "1"}, capture_output=True, text=True)
    assert f"it is recorded in {chosen}/disk-" in done.stderr, done.stderr
