"""A function that trains an epoch and reads the name that the loop around its call sets."""

import trainstash
from case import after, dataset, loader, net, train

model, optimizer = net()
run = trainstash.init(model=model, optimizer=optimizer)


def scale():
    return 1 + 0.1 * epoch


def train_epoch():
    for x, i in run.batches(loader(dataset())):
        loss = train(model, optimizer, x * scale() * (1 + 0.1 * epoch))
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())


for epoch in run.epochs(3):
    train_epoch()
