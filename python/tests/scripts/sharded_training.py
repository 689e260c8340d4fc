"""Trains on some processes a model that is cut between them. Arguments: how it is cut, the step to end at, where to write the result."""

import os
import random
import sys

import numpy
import torch
import torch.distributed as dist
import trainstash
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader, TensorDataset

how, end, result = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{os.environ['MEET']}", rank=rank, world_size=world)
torch.manual_seed(3)
random.seed(3)
numpy.random.seed(3)
model = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(10, 3))
if how == "fsdp":
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (world,))
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
elif how == "tensor":
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    parallelize_module(model, init_device_mesh("cpu", (world,)), {"0": ColwiseParallel(), "3": RowwiseParallel()})
if how == "buffer":
    from torch.distributed.fsdp import fully_shard

    model.register_buffer("seen", torch.tensor([float(rank)]))
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
generator = torch.Generator().manual_seed(1)
data = TensorDataset(torch.randn(64, 6, generator=generator), torch.randn(64, 3, generator=generator))
loader = DataLoader(data, batch_size=4)


def whole(value):
    return value.full_tensor().detach().clone() if isinstance(value, DTensor) else value.detach().clone()


def note(step):
    weights = {name: whole(value) for name, value in model.state_dict().items()}
    slots = {f"{i}.{name}": whole(value) for i, state in enumerate(optimizer.state.values()) for name, value in state.items()}
    noted = {"weights": weights, "slots": slots, "steps": step, "rng": torch.get_rng_state()}
    torch.save(noted, f"{result}.{rank}.{step}")


run = trainstash.init(model=model, optimizer=optimizer, scheduler=schedule, resume=os.environ.get("RESUME"))
if run.resumed:
    note(run.steps)
for _ in run.epochs(2):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        run.step(loss=loss.detach())
        if run.steps in (10, end):
            note(run.steps)
        if run.steps == end:
            break
    if run.steps == end:
        break
dist.barrier()
os._exit(0)
