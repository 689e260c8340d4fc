"""A training whose validation takes longer than whoever sends a signal waits. With KILL it gets SIGTERM in its first validation,
and SIGKILL as soon as a checkpoint is there."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy
import torch
import trainstash
from torch.utils.data import DataLoader, TensorDataset


# The killer is a process of its own: what a script's own lines read from a folder would count as a part of the training.
KILLER = """
import os, sys, time
while not any(not name.startswith(".") for name in os.listdir(sys.argv[2])):
    time.sleep(0.02)
os.kill(int(sys.argv[1]), 9)
"""

torch.set_num_threads(1)
random.seed(0)
numpy.random.seed(0)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout(0.2), torch.nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
data = TensorDataset(torch.arange(32.0).reshape(16, 2))
loader, checks = DataLoader(data, 4, shuffle=True), DataLoader(data, 4, generator=torch.Generator())
run = trainstash.init(model=model, optimizer=optimizer)
kill = "" if run.resumed else os.environ.get("KILL", "")
for epoch in run.epochs(3):
    model.train()
    for (x,) in run.batches(loader):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        with open("steps.log", "a") as file:
            file.write(f"{run.steps} {loss.item()!r}\n")
    model.eval()
    if kill:
        os.kill(os.getpid(), signal.SIGTERM)
    if kill == "hard":
        subprocess.Popen([sys.executable, "-c", KILLER, str(os.getpid()), os.path.join(os.environ["TRAINSTASH_SESSION"], "inbox")])
        time.sleep(3600)
    with torch.no_grad():
        total = 0.0
        for (x,) in run.batches(checks) if kill == "soft" else checks:
            total += model(x).pow(2).mean().item()
            if kill == "soft":
                time.sleep(0.5)
    print("validated", epoch, flush=True)
