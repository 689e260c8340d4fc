"""A resume that something changes behind the package's back."""

import os
import random

import torch
import trainstash
from case import RESUMED, after, loader, net, train

HOW = os.environ["HOW"] if RESUMED else ""
model, optimizer = net()
data = loader()
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(data):
        if HOW == "data":
            x.copy_(x + 1)
        if HOW == "random":
            random.random()
        if HOW == "rate":
            optimizer.param_groups[0]["lr"] = 0.5
        if HOW == "weights" and run.steps == 21:
            with torch.no_grad():
                model[3].bias.add_(1.0)
        loss = train(model, optimizer, x)
        run.step(loss=loss)
        after(run, epoch)
    run.log(val=float(loss))
