"""A loop that keeps a number in a file, by its own text."""

import os

import trainstash
from case import after, dataset, loader, net

os.chdir(os.environ["FILES"])
model, optimizer = net()
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(loader(dataset())):
        open("lines.txt", "a").write("x")  # noqa: SIM115
        x = x * (1 + 0.01 * len(open("lines.txt").read()))  # noqa: SIM115
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
