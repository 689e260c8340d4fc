"""Writes checkpoints of a real training, as a script would: `adam_training.py FOLDER DIGITS-MODULE`.

An MLP learns the handwritten digits with Adam in float32. FOLDER/main-1.pt … main-20.pt are 30 steps apart; FOLDER/fork-11.pt …
fork-15.pt continue from main-10 with another learning rate. Each is a torch.save of weights and optimizer, about 45 MB."""

import os
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

folder, examples = sys.argv[1:3]
sys.path.insert(0, examples)
from data import load_digits  # noqa: E402

EVERY, CHECKPOINTS, FORK_FROM, FORK = 30, 20, 10, 5

torch.manual_seed(0)
train, _ = load_digits()
images, labels = train.tensors[0].flatten(1), train.tensors[1]
model = nn.Sequential(
    nn.Linear(784, 2048), nn.ReLU(), nn.Dropout(0.2), nn.Linear(2048, 1024), nn.ReLU(), nn.Dropout(0.2), nn.Linear(1024, 10)
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def train_on(name, first, count):
    for number in range(first, first + count):
        for _ in range(EVERY):
            some = torch.randint(len(images), (64,))
            optimizer.zero_grad()
            F.cross_entropy(model(images[some]), labels[some]).backward()
            optimizer.step()
        torch.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict()), os.path.join(folder, f"{name}-{number}.pt"))


train_on("main", 1, CHECKPOINTS)
state = torch.load(os.path.join(folder, f"main-{FORK_FROM}.pt"))
model.load_state_dict(state["model"])
optimizer.load_state_dict(state["optimizer"])
for group in optimizer.param_groups:
    group["lr"] = 5e-4
train_on("fork", FORK_FROM + 1, FORK)
