"""Variables of a loop: in plain names, in a state, in objects, around epochs and inside of them."""

import os

import torch
import trainstash
from case import after, loader, net, train

HOW = os.environ["HOW"]
model, optimizer = net()
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
untracked = torch.optim.lr_scheduler.StepLR(optimizer, 5)
noise = torch.Generator().manual_seed(5)
data = loader()
run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)


class Meter:
    def __init__(self):
        self.sum = 0.0
        self.count = 0

    def update(self, value):
        self.sum += value
        self.count += 1

    def mean(self):
        return self.sum / max(1, self.count)


def plain():
    for epoch in run.epochs(3):
        total = 0.0
        for x, i in run.batches(data):
            loss = train(model, optimizer, x)
            total += loss.item()
            run.step(loss=loss)
            after(run, epoch, i.tolist())
        scheduler.step(total / len(data))


def in_a_state():
    s = run.state(best=None, history=[])
    for epoch in run.epochs(3):
        t = run.state(total=0.0, seen=torch.zeros(()))
        for x, i in run.batches(data):
            loss = train(model, optimizer, x)
            t.total += loss.item()
            t.seen += 1
            run.step(loss=loss)
            after(run, epoch, i.tolist(), t.total, t.seen.item())
        mean = t.total / len(data)
        scheduler.step(mean)
        s.history.append(mean)
        if s.best is None or mean < s.best:
            s.best = mean
    run.vars["history"] = list(s.history)


def best_of_epochs():
    best = 1e9
    for epoch in run.epochs(3):
        for x, i in run.batches(data):
            loss = train(model, optimizer, x)
            run.step(loss=loss)
            after(run, epoch, i.tolist())
        if loss.item() < best:
            best = loss.item()
    print("best", best)


def with_a_meter():
    for epoch in run.epochs(3):
        meter = Meter()
        for x, i in run.batches(data):
            loss = train(model, optimizer, x)
            meter.update(loss.item())
            run.step(loss=loss)
            after(run, epoch, i.tolist())
        scheduler.step(meter.mean())


def with_others():
    for epoch in run.epochs(3):
        for x, i in run.batches(data):
            loss = train(model, optimizer, x + torch.randn(x.shape, generator=noise))
            run.step(loss=loss)
            after(run, epoch, i.tolist())
        untracked.step()


{"plain": plain, "state": in_a_state, "best": best_of_epochs, "meter": with_a_meter, "others": with_others}[HOW]()
