"""Runs scripts with Keras in processes of their own without importing its backend each time; see ``launcher.py``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from launcher import become  # noqa: E402


def serve() -> None:
    # The backend does not start its threads before it computes something: until then a process may fork.
    import keras  # noqa: F401
    import trainstash.keras_callback  # noqa: F401
    import trainstash.recorder  # noqa: F401
    from trainstash import untaken

    # The tests look at every checkpoint of a launch, as if a daemon had taken each.
    untaken.UNTAKEN_LAST = 1000

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"pid": pid, "status": status}), flush=True)


if __name__ == "__main__":
    serve()
