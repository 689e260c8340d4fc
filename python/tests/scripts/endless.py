"""A sampler without an end, and a very long one: how long until the first batch, and how much memory."""

import os
import resource
import time

import torch
import trainstash
from case import RESUMED, net, train
from torch.utils.data import DataLoader, Sampler, TensorDataset

HOW = os.environ["HOW"]


class Endless(Sampler):
    def __iter__(self):
        while True:
            yield from torch.randperm(5000).tolist()


class Long(Sampler):
    def __iter__(self):
        generator = torch.Generator().manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
        for _ in range(100_000_000):
            yield int(torch.randint(5000, (1,), generator=generator))

    def __len__(self):
        return 100_000_000


model, optimizer = net()
data = DataLoader(TensorDataset(torch.ones(5000, 8), torch.arange(5000)), batch_size=16, sampler=Endless() if HOW == "endless" else Long())
run = trainstash.init(model=model, optimizer=optimizer)
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
for x, i in run.batches(data):
    if run.steps == (20 if RESUMED else 0):
        megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        with open("first.log", "w") as file:
            file.write(f"{time.perf_counter() - began} {megabytes}")
    run.step(loss=train(model, optimizer, x))
    with open("steps.log", "a") as file:
        file.write(f"{run.steps} {i.tolist()!r}\n")
    if run.steps == 20 and not RESUMED:
        run.checkpoint()
    if run.steps == 60:
        break
