"""Loops over batches without epochs: one after the other, alternating, in a function that is called twice, and what follows them."""

import os

import torch
import trainstash
from case import RESUMED, after, die, loader, loss_of, net, samples, train, dataset

HOW = os.environ["HOW"]
model, optimizer = net()
first, second = loader(dataset(32)), loader(dataset(24, 2))  # 8 and 6 batches
all_x, _ = samples()
run = trainstash.init(model=model, optimizer=optimizer)


def phase(data, **more):
    for x, i in run.batches(data, **more):
        run.step(loss=train(model, optimizer, x))
        after(run, i.tolist())


def draw():
    return all_x[torch.randint(64, (4,))]


if HOW == "phases":
    for x, i in run.batches(first, steps=10):
        run.step(loss=train(model, optimizer, x))
        after(run, i.tolist())
    for x, i in run.batches(second, steps=10):
        run.step(loss=train(model, optimizer, x * 2))
        after(run, i.tolist())
elif HOW == "same loader":
    for x, i in run.batches(first, steps=10):
        run.step(loss=train(model, optimizer, x))
        after(run, i.tolist())
    for x, i in run.batches(first, steps=10):
        run.step(loss=train(model, optimizer, x * 2))
        after(run, i.tolist())
elif HOW == "function":
    phase(first, steps=10)
    phase(second, steps=10)
elif HOW == "alternating":
    while run.steps < 40:
        for x, i in run.batches(first):
            run.step(loss=train(model, optimizer, x))
            after(run, i.tolist())
        for x, i in run.batches(second):
            run.step(loss=train(model, optimizer, x * 2))
            after(run, i.tolist())
elif HOW == "drawn":
    for x in run.batches(draw, steps=20):
        run.step(loss=train(model, optimizer, x))
        after(run, x.sum().item())
elif HOW == "once":
    phase(first)
# The code that follows the training, such as a last evaluation.
if os.environ.get("DIE") == "behind" and not RESUMED:
    die(run)
run.checkpoint()
print("SCORE", loss_of(model, all_x).item())
