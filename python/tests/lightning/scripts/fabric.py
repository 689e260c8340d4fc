"""A loop of one's own with Lightning Fabric, whose loader, model and optimizer Fabric has set up."""

import os
import signal
import threading

import torch
import trainstash
from lightning.fabric import Fabric
from torch.utils.data import DataLoader, TensorDataset

fabric = Fabric(accelerator="cpu")
fabric.seed_everything(1)
X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))
model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=0.01))
loader = fabric.setup_dataloaders(DataLoader(TensorDataset(X, X[:, :1] * 2, torch.arange(64)), batch_size=4, shuffle=True))
run = trainstash.init(model=model, optimizer=optimizer)
for _epoch in run.epochs(3):
    for x, y, ids in run.batches(loader):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        with open("steps.log", "a") as file:
            file.write(f"{run.steps + 1} {ids.tolist()} {loss.item().hex()} {torch.rand(1).item()}\n")
        run.step(loss=loss)
        if str(run.steps) == os.environ.get("KILL"):
            for thread in threading.enumerate():
                if thread.name == "trainstash-writer":
                    thread.join()
            os.kill(os.getpid(), signal.SIGKILL)
