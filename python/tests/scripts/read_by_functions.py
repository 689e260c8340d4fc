"""Names of the loop that only the script's functions and classes read."""

import os

import numpy as np
import torch
import trainstash
from case import after, dataset, loader, net

HOW = os.environ["HOW"]
model, optimizer = net()
bank = []
seen = set()
ages = np.zeros(64) if HOW == "array" else None
masks = {}
tau = 1.0


def of_bank(y):
    return 0.0 if not bank else sum((y.mean(0) - one).pow(2).mean() for one in bank[-4:])


def weight(i):
    if HOW == "set":
        return torch.tensor([0.5 if k in seen else 1.0 for k in i.tolist()])
    return torch.tensor(1.0 / (1 + ages[i.numpy()]), dtype=torch.float32)


def scaled(y):
    return y / tau


def through(y):
    return scaled(y)


class Criterion(torch.nn.Module):
    def forward(self, y):
        return y * masks.get("all", 1.0)


criterion = Criterion()


def closure():
    # What each round sets before it reads it is no state.
    optimizer.zero_grad()
    loss = (model(x) - x).pow(2).mean()
    loss.backward()
    return loss


run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(loader(dataset())):
        if HOW == "set by each round":
            loss = optimizer.step(closure)
            run.step(loss=loss)
            after(run, loss.item())
            continue
        optimizer.zero_grad()
        y = through(model(x)) if HOW == "scalar" else criterion(model(x)) if HOW == "dict" else model(x)
        each = (y - x).pow(2).mean(1)
        loss = (each * weight(i)).mean() if HOW in ("set", "array") else each.mean() + of_bank(y) if HOW == "list" else each.mean()
        loss.backward()
        optimizer.step()
        if HOW == "list":
            bank.append(y.detach().mean(0))
        elif HOW == "set":
            seen.update(i.tolist()[:1])
        elif HOW == "array":
            ages[i.numpy()] += 1
        run.step(loss=loss)
        after(run, loss.item())
    if HOW == "dict":
        masks["all"] = 1 / (1 + loss.item())
    elif HOW == "scalar":
        tau = 1 + loss.item()
run.checkpoint()
