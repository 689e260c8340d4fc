"""A training that knows nothing of Trainstash: prints non-finite metrics, and writes honest and hostile files.

Usage: noisy.py STEPS SECONDS_PER_STEP [CHECKPOINT]. The state after a step is a hash of the state before it, so that a resume
from the wrong place ends elsewhere.
"""

import hashlib
import os
import pickle
import sys
import time
import zipfile

steps, seconds = int(sys.argv[1]), float(sys.argv[2])
state, first = "", 0
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as file:
        saved = pickle.load(file)
    state, first = saved["state"], saved["step"]


def hostile(step):
    """Writes four million entries copied four hundred times, in 4 KB; a pipe; a file that lies about its size."""
    kind = step % 3
    path = f"checkpoints/hostile_step{step}.pt"
    if kind == 0:
        bomb = b"\x80\x02]q\x00(" + b"N" * 4_000_000 + b"e0" + b"cbuiltins\nset\nh\x00\x85R" * 400 + b"."
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/data.pkl", bomb)
    elif kind == 1 and not os.path.exists(path):
        os.mkfifo(path)
    else:
        with open(path, "wb") as file:
            file.write(b"\x80\x02]q\x00.")
            file.truncate(2 << 30)


os.makedirs("checkpoints", exist_ok=True)
for step in range(first + 1, steps + 1):
    state = hashlib.sha256(f"{state} {step}".encode()).hexdigest()
    odd = ("nan", "inf", "-inf", "1e999", "0.5")[step % 5]
    print(f"trainstash step={step} loss={1 / step} odd={odd}", flush=True)
    with open("heartbeats", "a") as beats:
        beats.write(f"{os.getpid()} {step} {time.monotonic()}\n")
    if step % 4 == 0:
        temporary = f"checkpoints/.writing-{step}"
        with open(temporary, "wb") as file:
            pickle.dump({"step": step, "state": state, "optimizer": [0.5] * 20_000}, file)
        os.replace(temporary, f"checkpoints/model_step{step}.pt")
    if step % 10 == 0:
        hostile(step)
    time.sleep(seconds)
with open("final", "w") as file:
    file.write(f"{steps} {state}")
