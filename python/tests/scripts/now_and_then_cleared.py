"""One optimizer, whose gradients the script clears in some steps and not in others."""

import os

import torch
import trainstash
from case import after, dataset, loader

HOW = os.environ["HOW"]
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9)
data = loader(dataset(64))  # 16 batches
run = trainstash.init(model=model, optimizer=optimizer)
EVERY, REST = {"each second time": (2, [0]), "mostly": (4, [0, 1, 3])}[HOW]

for epoch in run.epochs(2):
    for x, _ in run.batches(data):
        if run.steps % EVERY in REST:
            optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, round(float(loss), 7))
