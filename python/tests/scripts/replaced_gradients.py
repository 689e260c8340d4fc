"""Gradients that are never cleared and replaced by others, made of them, in each step."""

import torch
import trainstash
from case import after, dataset, loader

model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9)
data = loader(dataset(64))  # 16 batches
run = trainstash.init(model=model, optimizer=optimizer)

for epoch in run.epochs(2):
    for x, _ in run.batches(data):
        for one in model.parameters():
            one.grad = one.grad * 0.9 if one.grad is not None else None
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, round(float(loss), 7))
