"""Two processes under torchrun: one of them asks for a checkpoint, and one fails at a step in its first attempt."""

import atexit
import os
import random
import sys

import numpy as np
import torch
import torch.distributed as dist
import trainstash
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

torch.set_num_threads(1)
attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
rank = int(os.environ["RANK"])
# A file of each attempt: through torchrun's own store gloo at times finds the processes of the attempt before, and waits for ever.
dist.init_process_group("gloo", init_method=f"file://{os.getcwd()}/meet-{attempt}", rank=rank, world_size=2)
first = attempt == "0"
torch.manual_seed(rank)
random.seed(rank)
np.random.seed(rank)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.3)))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
data = TensorDataset(torch.randn(64, 8, generator=torch.Generator().manual_seed(1)))
loader = DataLoader(data, 4, sampler=DistributedSampler(data))
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(2):
    for (x,) in run.batches(loader):
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        if run.steps == 5 and rank == 0 and os.environ.get("ASK"):
            run.checkpoint()
        if run.steps == int(os.environ.get("FAIL", -1)) and rank == 1 and first:
            raise ValueError("bad sample 17")
dist.barrier()
# Without the end of the interpreter, at which torch's own gloo aborts now and then ("terminate called without an active exception").
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
