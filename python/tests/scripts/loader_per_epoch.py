"""Loaders that are made in the loop: anew each epoch, in a function, by curriculum, several at one place."""

import os

import trainstash
from case import after, dataset, loader, net, train

HOW = os.environ["HOW"]
model, optimizer = net()
data = dataset()
shelf = [loader(dataset(48, seed)) for seed in range(3)]
run = trainstash.init(model=model, optimizer=optimizer)


def train_epoch(epoch, some):
    for x, i in run.batches(some):
        loss = train(model, optimizer, x)
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())


for epoch in run.epochs(3):
    if HOW == "anew":
        made = loader(data)
        for x, i in run.batches(made):
            loss = train(model, optimizer, x)
            run.step(loss=loss)
            after(run, epoch, i.tolist(), loss.item())
    elif HOW == "function":
        train_epoch(epoch, loader(data))
    elif HOW == "curriculum":
        train_epoch(epoch, shelf[epoch])
    elif HOW == "resizing":
        for x, i in run.batches(loader(data, batch_size=4 * (epoch + 1))):
            loss = train(model, optimizer, x)
            run.step(loss=loss)
            after(run, epoch, i.tolist(), loss.item())
    elif HOW == "branches":
        if epoch % 2 == 0:
            for x, i in run.batches(shelf[0]):
                run.step(loss=train(model, optimizer, x))
                after(run, epoch, i.tolist())
        else:
            for x, i in run.batches(shelf[1]):
                run.step(loss=train(model, optimizer, x))
                after(run, epoch, i.tolist())
