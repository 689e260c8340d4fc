"""Runs scripts in processes of their own without importing a framework each time: a process that has imported it forks for each.
The words of its command line are the modules to import. Reads one JSON request a line: script, folder, env and output, and
``before``, a module whose ``install`` is called first; answers with the child's wait status."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from typing import Any, Dict, List


def serve(modules: List[str]) -> None:
    for name in ["numpy", "trainstash.launching", *modules]:
        importlib.import_module(name)
    if "torch" in sys.modules:
        _make_torch_ready()
    # A child that collects garbage would look at, and copy, all that was imported.
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(ProcessLookupError):
            # Workers of a loader outlive a script that was killed.
            os.killpg(pid, signal.SIGKILL)
        print(json.dumps({"pid": pid, "status": status}), flush=True)


def _make_torch_ready() -> None:
    import torch

    torch.set_num_threads(1)
    # The first optimizer of a process imports the compiler, which takes longer than a script of these.
    torch.optim.SGD([torch.zeros(1)], lr=0.1)


def become(request: Dict[str, Any]) -> None:
    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.argv = [request["script"], *request["words"]]
    sys.path.insert(0, os.path.dirname(request["script"]))
    code = 0
    try:
        if request.get("before"):
            importlib.import_module(request["before"]).install()
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    except BaseException as error:
        # The interpreter sets this, too, before it ends.
        sys.last_value = error
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1:])
