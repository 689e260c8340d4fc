"""Gradients that add up over several steps of a loop, in which tasks or optimizers take turns."""

import os

import torch
import trainstash
from case import after, dataset, loader

HOW = os.environ["HOW"]
# A head is the smallest part, and has a gradient in steps of its own task only.
trunk, small, large = torch.nn.Linear(8, 16), torch.nn.Linear(16, 1), torch.nn.Linear(16, 3)
data = loader(dataset(64))  # 16 batches
heads = {"small": small, "large": large}
kind = {"adam": torch.optim.AdamW, "fused": torch.optim.AdamW, "sgd": torch.optim.SGD}[os.environ.get("OPTIMIZER", "adam")]
more = {"fused": True} if os.environ.get("OPTIMIZER") == "fused" else {}
parts = [trunk, small, large]
optimizer = kind([one for part in parts for one in part.parameters()], lr=0.05, **more)
tracked = {"trunk": trunk, "small": small, "large": large, "optimizer": optimizer}
if HOW == "two optimizers":
    # One of them steps with each batch, the other one after two.
    optimizer = kind([*trunk.parameters(), *small.parameters()], lr=0.05, **more)
    often = kind(large.parameters(), lr=0.05, **more)
    tracked = {"trunk": trunk, "small": small, "large": large, "optimizer": optimizer, "often": often}
run = trainstash.init(**tracked)

#: Tasks of the batches, in turn, and after how many of them the optimizer steps.
TURNS, EVERY = {
    "pairs": (["small", "small", "large", "large"], 2),
    "threes": (["small", "large", "small", "large", "large", "small"], 3),
    "each": (["small", "large"], 1),
    "two optimizers": (["small"], 2),
}[HOW]
n = 0
for epoch in run.epochs(2):
    for x, _ in run.batches(data):
        n = run.steps + 1
        loss = heads[TURNS[(n - 1) % len(TURNS)]](trunk(x).tanh()).pow(2).mean()
        loss.backward()
        if HOW == "two optimizers":
            often.zero_grad()
            large(trunk(x).tanh().detach()).pow(2).mean().backward()
            often.step()
        if n % EVERY == 0:
            optimizer.step()
            optimizer.zero_grad()
        run.step(loss=loss)
        after(run, round(float(loss), 6))
