"""Starts the ranks of a training as processes, each in a folder that stands for the disk of its host."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from launcher import become
from pairs import HERE, PACKAGE

# A process that has imported what takes seconds to import, and forks for each rank; the first optimizer of a process imports the compiler.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["launcher", "numpy", "torch.utils.data", "torch._dynamo", "torch.distributed.fsdp", "torch.distributed.tensor.parallel", "torch.distributed.checkpoint"]
)


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
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(folders)), "FOLDERS": ":".join(map(str, folders)), **more}
    if resume:
        own["RESUME"] = resume
    each = [{**own, "RANK": str(rank)} for rank in range(len(folders))]
    return _forked(script, each) if hidden is None else _begun(script, each, hidden)


def _forked(script: str, each: List[Dict[str, str]]) -> List[str]:
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, env["RANK"]) for env in each]
        requests = [
            {"script": str(HERE / "scripts" / script), "words": [], "env": env, "output": str(output), "folder": folder}
            for env, output in zip(each, outputs)
        ]
        ranks = [FORKS.Process(target=_become_rank, args=(request,)) for request in requests]
        for rank in ranks:
            rank.start()
        try:
            for rank in ranks:
                rank.join(timeout=60)
        finally:
            for rank in ranks:
                rank.kill()
        return [output.read_text() for output in outputs]


def _become_rank(request: Dict[str, Any]) -> None:
    for name in [name for name in os.environ if name.startswith("TRAINSTASH")]:
        del os.environ[name]
    import torch

    torch.set_num_threads(1)
    become(request)


def _begun(script: str, each: List[Dict[str, str]], hidden: Path) -> List[str]:
    """Begins each rank as a program: what a process that forks cannot be is one with mounts of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAINSTASH")}
    env.update(OMP_NUM_THREADS="1", PYTHONPATH=str(PACKAGE))
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{hidden}" && exec "$@"', "sh"]
    ranks = [
        subprocess.Popen(
            [*(hide if own["RANK"] != "0" else []), sys.executable, HERE / "scripts" / script],
            env={**env, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for own in each
    ]  # fmt: skip
    try:
        return [rank.communicate(timeout=60)[0] for rank in ranks]
    finally:
        for rank in ranks:
            if rank.poll() is None:
                rank.kill()
