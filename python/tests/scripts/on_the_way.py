"""Weights and slots that the script changes on its way to the place of a resume: before the loop, or at the beginning of an epoch."""

import os
from collections import defaultdict

import torch
import trainstash
from case import after, dataset, loader, net, train

HOW = os.environ["HOW"]
model, optimizer = net()
run = trainstash.init(model=model, optimizer=optimizer)
if HOW == "trained before":
    for x, _ in loader(dataset()):
        train(model, optimizer, x)
for epoch in run.epochs(3):
    if HOW == "one layer":
        torch.nn.init.zeros_(model[3].weight)
    elif HOW == "all weights":
        with torch.no_grad():
            for one in model.parameters():
                one.mul_(0.8).add_(0.01 * torch.randn_like(one))
    elif HOW == "slots":
        optimizer.state = defaultdict(dict)
    for x, i in run.batches(loader(dataset())):
        loss = train(model, optimizer, x)
        run.step(loss=loss)
        after(run, i.tolist(), loss.item())
run.checkpoint()
