"""Runs the cells of a notebook in a real kernel for the test suite's controller: JSON lines in, JSON lines out."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from jupyter_client.manager import start_new_kernel


def main(notebook: str) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute(f"__vsc_ipynb_file__ = {notebook!r}", silent=True, reply=True, timeout=60)

    def tell(cell: str, **what: Any) -> None:
        print(json.dumps({"cell": cell, **what}), flush=True)

    def run(cell: str, code: str) -> None:
        def on_output(message: Any) -> None:
            content, kind = message["content"], message["msg_type"]
            if kind in ("display_data", "update_display_data"):
                tell(cell, display=content["transient"].get("display_id"), data=content["data"])
            elif kind == "stream":
                tell(cell, text=content["text"])

        reply = client.execute_interactive(code, output_hook=on_output, timeout=None)
        tell(cell, ended=reply["content"]["status"])

    for line in sys.stdin:
        request = json.loads(line)
        if "interrupt" in request:
            manager.interrupt_kernel()
        else:
            threading.Thread(target=run, args=(request["cell"], request["code"])).start()
    manager.shutdown_kernel(now=True)


main(sys.argv[1])
