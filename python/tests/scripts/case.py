"""The common part of the test scripts: small data and models, a log of each step, and a kill."""

import os
import signal

import numpy as np
import random

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

torch.manual_seed(3)
random.seed(3)
np.random.seed(3)

RESUMED = bool(os.environ.get("RESUMED"))
KILL = int(os.environ.get("KILL", -1))
#: True: a checkpoint is taken right before the kill.
CHECKPOINT = os.environ.get("CHECKPOINT", "1") == "1"
LOG = os.path.abspath("steps.log")


def samples(n=64, seed=1):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)), torch.arange(n)


def dataset(n=64, seed=1):
    return TensorDataset(*samples(n, seed))


class Noisy(Dataset):
    """Items that draw from all libraries."""

    def __init__(self, n=64):
        self.x, self.i = samples(n)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i] * random.uniform(0.9, 1.1) + float(np.random.normal()) * 0.01 + torch.randn(8) * 0.01, self.i[i]


def loader(data=None, batch_size=4, shuffle=True, **more):
    return DataLoader(dataset() if data is None else data, batch_size=batch_size, shuffle=shuffle, **more)


def net():
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 8))
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)


def loss_of(model, x):
    return (model(x) - x).pow(2).mean()


def train(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_of(model, x)
    loss.backward()
    optimizer.step()
    return loss


def settled(run):
    """Waits for what is being written."""
    run._engine.checkpoints.join()


def after(run, *words):
    """Logs the step, and ends the process where the test wants it."""
    with open(LOG, "a") as file:
        file.write(f"{run.steps} {words!r}\n")
    if run.steps == int(os.environ.get("CHECKPOINT_AT", -1)) and not RESUMED:
        run.checkpoint()
    if run.steps == KILL and not RESUMED:
        die(run)


def die(run):
    if CHECKPOINT:
        run.checkpoint()
    settled(run)
    os.kill(os.getpid(), signal.SIGKILL)
