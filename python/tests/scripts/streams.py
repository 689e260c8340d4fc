"""Streams without a state_dict: those that read the same again, and those of which that cannot be found."""

import itertools
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import trainstash
from case import after, net, loss_of
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

HOW = os.environ["HOW"]
workers = int(os.environ.get("WORKERS", 0))
model, optimizer = net()
fixed = torch.Generator().manual_seed(1)
xs = torch.randn(64, 8, generator=fixed)
READ = [0]
COUNT = 0
_, own_file = Path(__file__), open(__file__)  # noqa: SIM115


def noisy(i):
    return xs[i] * (1 + 0.1 * random.random()) + 0.01 * float(np.random.normal()) + 0.01 * torch.randn(8), i


class Stream(IterableDataset):
    """Shuffles, draws noise, and is shared between workers."""

    def __init__(self):
        self.passes = 0
        self.epoch = 0
        self.rng = np.random.default_rng(5)
        self.source = itertools.count() if HOW == "iterator" else None
        self.file = own_file if HOW == "file" else None
        self.names = [f"{i}" for i in range(64)]
        self.numbers = np.arange(64)
        self.level = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def order(self):
        return torch.randperm(64).tolist()

    def __iter__(self):
        info = get_worker_info()
        order = self.order()[info.id :: info.num_workers] if info else self.order()
        yield from (noisy(i) for i in order)


class Own(Stream):
    def __iter__(self):
        for i in self.rng.permutation(64).tolist():
            yield noisy(i)


class Buffered(Stream):
    """Shuffles in a buffer, as streams of large files do."""

    def __iter__(self):
        buffer = []
        for i in range(64):
            if len(buffer) == 10:
                at = random.randrange(10)
                yield noisy(buffer[at])
                buffer[at] = i
            else:
                buffer.append(i)
        random.shuffle(buffer)
        yield from map(noisy, buffer)


class Epochs(Stream):
    def order(self):
        return np.random.default_rng(self.epoch).permutation(64).tolist()


class Counting(Stream):
    def order(self):
        self.passes += 1
        return np.random.default_rng(self.passes).permutation(64).tolist()


class InPlace(Stream):
    def order(self):
        np.random.shuffle(self.numbers)
        return self.numbers.tolist()


class Listed(Stream):
    def order(self):
        READ.append(len(READ))
        return np.random.default_rng(len(READ)).permutation(64).tolist()


class Global(Stream):
    def order(self):
        global COUNT
        COUNT += 1
        return np.random.default_rng(COUNT).permutation(64).tolist()


class Unseeded(Stream):
    def order(self):
        return np.random.default_rng().permutation(64).tolist()


class Seedless(Stream):
    seed = None

    def order(self):
        return np.random.default_rng(self.seed).permutation(64).tolist()


class Seeded(Seedless):
    seed = 4


class Clock(Stream):
    def order(self):
        return np.random.default_rng(time.time_ns() % 1000).permutation(64).tolist()


class Names(Stream):
    def order(self):
        return [int(name) for name in set(self.names)]


class Iterator(Stream):
    def order(self):
        return np.random.default_rng(next(self.source)).permutation(64).tolist()


class Level(Stream):
    def order(self):
        return np.random.default_rng(self.level).permutation(64).tolist()


class Trains(Stream):
    def order(self):
        with torch.no_grad():
            return model(xs).sum(1).argsort().tolist()


class Batched:
    """Not a data set of torch's: it gives batches by itself."""

    def __iter__(self):
        for at in torch.randperm(64).view(16, 4):
            yield torch.stack([noisy(int(i))[0] for i in at]), at


def made_by(passes):
    class Enclosed(Stream):
        def order(self):
            passes[0] += 1
            return np.random.default_rng(passes[0]).permutation(64).tolist()

    return Enclosed()


def joined(items):
    x, i = zip(*items)
    return torch.stack(x) + 0.01 * torch.randn(1), torch.tensor(i)


KINDS = {"unseeded": Unseeded, "without a seed": Seedless, "seeded": Seeded, "own generator": Own, "buffer": Buffered, "set_epoch": Epochs, "counts": Counting, "in place": InPlace, "list": Listed, "global": Global,
         "clock": Clock, "set": Names, "iterator": Iterator, "file": Stream, "level": Level, "trains": Trains}  # fmt: skip
if HOW == "batched":
    loader = Batched()
elif HOW == "closure":
    loader = DataLoader(made_by([0]), 4)
else:
    data = KINDS.get(HOW, Stream)()
    more = {"persistent_workers": True} if HOW == "persistent" else {}
    loader = DataLoader(data, 4, num_workers=workers, collate_fn=joined if HOW == "collate" else None, **more)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    if HOW == "set_epoch":
        data.set_epoch(epoch)
    if HOW == "level":
        data.level = epoch
    for x, i in run.batches((one for one in loader) if HOW == "generator" else loader):
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
