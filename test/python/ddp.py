"""Two processes train one model; prints a hash of the final state of each."""
import hashlib, os, random, signal, sys

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

import trainstash

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()


class Noisy(Dataset):
    def __init__(self):
        g = torch.Generator().manual_seed(1)
        self.x, self.y = torch.randn(160, 16, generator=g), torch.randint(0, 10, (160,), generator=g)

    def __len__(self):
        return 160

    def __getitem__(self, i):
        return self.x[i] + 0.05 * torch.randn(16) * random.random(), self.y[i]


torch.manual_seed(rank); random.seed(rank); np.random.seed(rank)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
data = Noisy()
loader = DataLoader(data, batch_size=5, sampler=DistributedSampler(data))

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        run.step(loss=0.5)
        if run.steps == int(os.environ.get("DIE", -1)) and rank == 0:
            if run._engine.checkpoints:
                run._engine.checkpoints.join()
            os.kill(os.getpid(), signal.SIGKILL)
        if run.steps == int(os.environ.get("PAUSE", -1)) and rank == 0:
            open(os.path.join(run._engine.session.path, "control"), "w").write('{"seq": 1, "pause": true}')
            run._engine.boundary.polled = 0

h = hashlib.sha256()
for t in model.state_dict().values():
    h.update(t.numpy().tobytes())
for slots in optimizer.state_dict()["state"].values():
    for k in sorted(slots):
        h.update(torch.as_tensor(slots[k]).numpy().tobytes())
h.update(torch.get_rng_state().numpy().tobytes()); h.update(repr(random.getstate()).encode())
sys.stdout.write(f"FINAL {rank} {h.hexdigest()[:24]} {run.steps}\n")
