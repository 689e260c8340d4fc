"""Trains with DDP, in which gradients get ready in another order than the parameters were registered in. Prints the digest of the weights."""

import hashlib
import os

import torch
import torch.distributed as dist
import trainstash


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        # Registered in another order than they are used in.
        self.last, self.first, self.middle = torch.nn.Linear(64, 1), torch.nn.Linear(16, 64), torch.nn.Linear(64, 64)

    def forward(self, x):
        return self.last(torch.tanh(self.middle(torch.tanh(self.first(x)))))


rank = int(os.environ["RANK"])
os.chdir(os.environ["FOLDERS"].split(":")[rank])
dist.init_process_group("gloo")
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(Net(), find_unused_parameters=os.environ["FINDS"] == "1")
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer, resume=os.environ.get("RESUME"), every="4 steps")
batches = [torch.randn(8, 16, generator=torch.Generator().manual_seed(100 * rank + i)) for i in range(16)]
for _ in run.epochs(1):
    for x in run.batches(batches):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
        run.step()
data = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
print(f"WEIGHTS {hashlib.sha256(data).hexdigest()}", flush=True)
