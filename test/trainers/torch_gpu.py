"""A small PyTorch training in three lines that holds its devices. `--seed` tells two of them apart."""
import argparse, hashlib, os, random, sys, time, types

import gpus
import torch
import trainstash

# Torch's optimizers import its compiler only to keep out of it, which takes longer than the whole training.
torch._dynamo = sys.modules["torch._dynamo"] = types.SimpleNamespace(
    graph_break=lambda: None, disable=lambda function, *_, **__: function
)
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--steps", type=int, default=80)
parser.add_argument("--pause", type=float, default=0.02)
options = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(options.seed)
random.seed(options.seed)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Dropout(0.2), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
data = torch.utils.data.TensorDataset(torch.randn(80, 8), torch.randn(80, 1))
loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
run = trainstash.init(model=model, optimizer=optimizer)
pause = 0 if run.resumed else options.pause  # Slow only until it goes on from a checkpoint.
for epoch in run.epochs(options.steps // 10):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = (model(x + random.random() * 0.1) - y).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        time.sleep(pause)
digest = hashlib.sha256()
for tensor in model.state_dict().values():
    digest.update(tensor.contiguous().numpy().tobytes())
for slots in optimizer.state_dict()["state"].values():
    for name in sorted(slots):
        digest.update(slots[name].contiguous().numpy().tobytes())
digest.update(torch.get_rng_state().numpy().tobytes() + repr(random.getstate()).encode())
print("FINAL", digest.hexdigest(), run.steps)
