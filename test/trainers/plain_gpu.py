"""Holds its devices until its file exists, and counts its steps: `plain_gpu.py NAME JOURNAL`. Saves nothing on request."""
import os, sys, time

import gpus

name, journal = sys.argv[1], sys.argv[2]


def note(what):
    with open(journal, "a") as file:
        file.write(f"{what} {name} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}\n")


note("begin")
time.sleep(0.1)
steps = 0
while not os.path.exists(f"{journal}.{name}"):
    gpus.compute()
    steps += 1
    with open(f"{journal}.{name}.steps", "w") as file:
        file.write(str(steps))
    time.sleep(0.02)
note("end")
sys.exit(1 if name.startswith("bad") else 0)
