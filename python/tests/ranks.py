"""Starts the ranks of a training as processes, each in a folder that stands for the disk of its host."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, List, Optional

from pairs import HERE, PACKAGE


def train(script: str, folders: List[Path], resume: Optional[str] = None, hidden: Optional[Path] = None, **more: Any) -> List[str]:
    """Runs one rank in each folder. Returns what each printed.

    Args:
        script: Name of the script, in ``scripts``.
        folders: Folder of each rank.
        resume: Value of the script's ``resume=``.
        hidden: Folder that ranks other than 0 do not see.
        more: Variables of the environment.
    """
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAINSTASH")}
    env.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(len(folders)), OMP_NUM_THREADS="1")
    env.update(PYTHONPATH=str(PACKAGE), FOLDERS=":".join(map(str, folders)), **({"RESUME": resume} if resume else {}), **more)
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{hidden}" && exec "$@"', "sh"] if hidden else []
    ranks = [
        subprocess.Popen([*(hide if rank else []), sys.executable, HERE / "scripts" / script], env={**env, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(len(folders))
    ]
    try:
        return [rank.communicate(timeout=60)[0] for rank in ranks]
    finally:
        for rank in ranks:
            if rank.poll() is None:
                rank.kill()
