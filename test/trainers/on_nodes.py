"""Trains in several processes. In its first life it is too slow from step 20 on to reach its end."""
import hashlib, os, random, sys, time
import numpy as np, torch
import torch.distributed as dist
import torch.nn as nn, torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler
import trainstash

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()

class Noisy(Dataset):
    def __init__(self):
        g = torch.Generator().manual_seed(1)
        self.x, self.y = torch.randn(320, 16, generator=g), torch.randint(0, 10, (320,), generator=g)
    def __len__(self):
        return 320
    def __getitem__(self, i):
        return self.x[i] + 0.05 * torch.randn(16) * random.random(), self.y[i]

torch.manual_seed(rank); random.seed(rank); np.random.seed(rank)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
data = Noisy()
loader = DataLoader(data, batch_size=4, sampler=DistributedSampler(data), num_workers=int(sys.argv[1]))
is_slow = os.environ.get("SLURM_JOB_ID") and not int(os.environ.get("SLURM_RESTART_COUNT") or 0)

run = trainstash.init(model=model, optimizer=optimizer, every="100000 steps")
print("begins", rank, "at", run.steps, flush=True)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        run.step(loss=0.5)
        if is_slow and run.steps >= 20:
            time.sleep(2)

h = hashlib.sha256()
for t in model.state_dict().values():
    h.update(t.numpy().tobytes())
for slots in optimizer.state_dict()["state"].values():
    for k in sorted(slots):
        h.update(torch.as_tensor(slots[k]).numpy().tobytes())
h.update(torch.get_rng_state().numpy().tobytes()); h.update(repr(random.getstate()).encode())
print("FINAL", rank, h.hexdigest()[:24], run.steps, flush=True)
dist.destroy_process_group()
