"""Trains on two ranks, each in a folder of its own if HOSTS says so: a folder stands for a host's disk."""

import os

import torch
import torch.distributed as dist
import trainstash

rank = int(os.environ["RANK"])
os.chdir(os.environ["FOLDERS"].split(":")[rank])
dist.init_process_group("gloo")
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer, resume=os.environ.get("RESUME"), every="2 steps")
print(f"rank {rank} begins at step {run.steps}", flush=True)
for x in run.batches([torch.ones(4, 2) * i for i in range(7)]):
    optimizer.zero_grad()
    model(x).sum().backward()
    optimizer.step()
    run.step()
