"""Checkpoints that are asked for right before a round of the loop is left, with code behind it that would train once more."""

import os

import trainstash
from case import after, dataset, loader, net, train

HOW = os.environ["HOW"]
model, optimizer = net()
data = loader(dataset(64))
run = trainstash.init(model=model, optimizer=optimizer)


def returned(x):
    loss = train(model, optimizer, x)
    run.step(loss=loss)
    if HOW == "return":
        after(run, round(float(loss), 7))
        return
    train(model, optimizer, x)


for epoch in run.epochs(2):
    for x, _ in run.batches(data):
        if HOW == "return":
            returned(x)
            continue
        loss = train(model, optimizer, x)
        run.step(loss=loss)
        if HOW == "continue":
            after(run, round(float(loss), 7))
            continue
        if HOW == "continue in a try":
            try:
                after(run, round(float(loss), 7))
                continue
            except OSError:
                pass
        if HOW == "finally":
            try:
                after(run, round(float(loss), 7))
                continue
            finally:
                train(model, optimizer, x)
        train(model, optimizer, x)
