"""Loaders that are read together: nested, zipped, one asked with next, a validation loader that is wrapped as well."""

import os

import torch
import trainstash
from case import after, dataset, loader, loss_of, net, train

HOW = os.environ["HOW"]
model, optimizer = net()
first, second = loader(dataset(32)), loader(dataset(24, 2), batch_size=6)
longer = loader(dataset(60, 2), batch_size=6)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    if HOW == "nested":
        for x, i in run.batches(first):
            for y, j in run.batches(second):
                run.step(loss=train(model, optimizer, x.mean() + y))
                after(run, epoch, i.tolist(), j.tolist())
    elif HOW == "zipped":
        for (x, i), (y, j) in zip(run.batches(first), run.batches(second)):
            run.step(loss=train(model, optimizer, torch.cat([x, y])))
            after(run, epoch, i.tolist(), j.tolist())
    elif HOW == "zipped with more":
        # The first one ends: the other is asked for nothing then.
        for (x, i), (y, j) in zip(run.batches(first), run.batches(longer)):
            run.step(loss=train(model, optimizer, torch.cat([x, y])))
            after(run, epoch, i.tolist(), j.tolist())
    elif HOW == "next":
        others = iter(run.batches(loader(dataset(64, 3))))
        for x, i in run.batches(first):
            y, j = next(others)
            run.step(loss=train(model, optimizer, torch.cat([x, y])))
            after(run, epoch, i.tolist(), j.tolist())
    elif HOW == "validated inside":
        for x, i in run.batches(first):
            run.step(loss=train(model, optimizer, x))
            after(run, epoch, i.tolist())
            if run.steps % 3 == 0:
                with torch.no_grad():
                    run.log(val=sum(loss_of(model, y).item() for y, _ in run.batches(second)))
    elif HOW == "one after the other":
        for x, i in run.batches(first):
            run.step(loss=train(model, optimizer, x))
            after(run, epoch, i.tolist())
        for y, j in run.batches(second):
            run.step(loss=train(model, optimizer, y))
            after(run, epoch, j.tolist())
