"""One optimizer, of whose gradients the script clears all, some or none."""

import os

import torch
import trainstash
from case import after, dataset, loader

HOW = os.environ["HOW"]
# The head is smaller than the trunk; `tail` is the smallest.
trunk, head, tail = torch.nn.Linear(8, 16), torch.nn.Linear(16, 3), torch.nn.Linear(3, 1)
model = torch.nn.Sequential(trunk, torch.nn.Tanh(), head, torch.nn.Tanh(), tail)
optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9)
data = loader(dataset(64))  # 16 batches
run = trainstash.init(model=model, optimizer=optimizer)


def set_to_zero(part):
    for one in part.parameters():
        if one.grad is not None:
            one.grad.zero_()


def set_to_none(part):
    for one in part.parameters():
        one.grad = None


for epoch in run.epochs(2):
    for x, _ in run.batches(data):
        n = run.steps + 1
        if HOW == "all":
            optimizer.zero_grad()
        if HOW == "all, in place":
            optimizer.zero_grad(set_to_none=False)
        if HOW == "the tail":
            tail.zero_grad()
        if HOW == "the trunk":
            set_to_none(trunk)
        if HOW == "the head, in place":
            set_to_zero(head)
        if HOW == "tasks":
            # The tail's gradients add up; the others' are those of their own step.
            trunk.zero_grad()
            head.zero_grad()
        if HOW == "none, decayed":
            for one in model.parameters():
                if one.grad is not None:
                    one.grad.mul_(0.5)
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, round(float(loss), 7))
