"""A process that has imported Transformers, and forks for each launch of a script."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Iterator

import pytest
from pairs import HERE, Launcher

_START = "import transformers, transformers.trainer, peft, accelerate; import launcher; launcher.serve()"


class Prepared(Launcher):
    def __init__(self) -> None:
        env = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        env |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        for name in ("TRAINSTASH_SESSION", "TRAINSTASH_OWNER"):
            env.pop(name, None)
        self._process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
        assert self._answer() == "ready"


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    made = Prepared()
    yield made
    made.close()
