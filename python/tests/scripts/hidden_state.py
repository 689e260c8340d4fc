"""State that the text of a loop does not show: what functions, hooks, networks and data sets keep for themselves."""

import functools
import os
import random

import numpy as np
import torch
import trainstash
from case import after, net, samples
from torch.utils.data import DataLoader, Dataset

HOW = os.environ["HOW"]
model, optimizer = net()
xs, _ = samples()
COUNT = 0
SEEN = []
SCALES = np.ones(8, dtype=np.float32)
TEACHERS = [torch.nn.Linear(8, 8)]
RANDOM = random.Random(1)


class Holder:
    def __init__(self):
        self.inner = [0]

    @property
    def count(self):
        self.inner[0] += 1
        return self.inner[0]


holder = Holder()


def by_global():
    global COUNT
    COUNT += 1
    return COUNT


def by_list(seen=SEEN):
    seen.append(1)
    return len(seen)


def by_attribute():
    by_attribute.n = getattr(by_attribute, "n", 0) + 1
    return by_attribute.n


def made():
    n = 0

    def by_closure():
        nonlocal n
        n += 1
        return n

    return by_closure


def by_teacher():
    with torch.no_grad():
        TEACHERS[0].weight.mul_(1.01)
    return float(TEACHERS[0].weight.sum())


def by_entropy():
    return os.urandom(1)[0]


KINDS = {"global": by_global, "default": by_list, "attribute": by_attribute, "closure": made(), "teacher": by_teacher, "entropy": by_entropy,
         "partial": functools.partial(by_list, []), "generator": RANDOM.random, "property": lambda: holder.count}  # fmt: skip
work = KINDS.get(HOW, lambda: 0)
if HOW == "hook":
    model[0].register_forward_hook(lambda layer, given, out: out * (1 + 0.01 * by_global()))
if HOW == "module":
    model[2].p = 0.1


class Counting(Dataset):
    def __init__(self):
        self.read = 0
        with torch.inference_mode():
            self.mean = torch.zeros(2)
        self.rng = {"a": [np.random.default_rng(2)]}

    def __len__(self):
        return len(xs)

    def __getitem__(self, i):
        if HOW in ("data", "data in workers"):
            self.read += 1
        noise = self.rng["a"][0].random() if HOW == "data's generator" else by_global() if HOW == "data's global" else 0
        return xs[i] * (1 + 0.01 * self.read + 0.1 * noise), i


class Touchy(Counting):
    """A data set with attributes that must not be asked for, as those that open a connection."""

    __slots__ = ("unset",)

    def __getattr__(self, name):
        # A loader of torch asks for one of these itself.
        raise (AttributeError if name.startswith("__") else RuntimeError)(f"{name} was asked for")


class Steady(Dataset):
    """A data set that reads an array of the script, and keeps nothing."""

    def __len__(self):
        return len(xs)

    def __getitem__(self, i):
        return xs[i] * float(SCALES[0]), i


class Changing(Steady):
    """Data sets that change something of theirs in their workers, each in its own way."""

    def __init__(self):
        self.items = []


class ByAppend(Changing):
    def __getitem__(self, i):
        items = self.items
        items.append(i)
        return super().__getitem__(i)


class ByItem(Changing):
    def __getitem__(self, i):
        SCALES[0] += 0
        return super().__getitem__(i)


class ByDefault(Changing):
    def __getitem__(self, i, seen=[]):  # noqa: B006
        seen.append(i)
        return super().__getitem__(i)


class ByOut(Changing):
    def __getitem__(self, i):
        np.add(SCALES, 0, out=SCALES)
        return super().__getitem__(i)


class BySetattr(Changing):
    def __getitem__(self, i):
        setattr(self, "last", i)  # noqa: B010
        return super().__getitem__(i)


def note(items, i):
    items.append(i)


class ByFunction(Changing):
    def __getitem__(self, i):
        note(self.items, i)
        return super().__getitem__(i)


DATA = {"touchy": Touchy, "workers": Steady, "append": ByAppend, "item": ByItem, "default in workers": ByDefault, "out": ByOut, "set": BySetattr, "given": ByFunction}


class Passes:
    passes = 0

    def __len__(self):
        return len(xs)

    def __iter__(self):
        if HOW == "sampler":
            Passes.passes += 1
        return iter(np.random.RandomState(Passes.passes).permutation(len(xs)).tolist())


loader = DataLoader(DATA.get(HOW, Counting)(), 4, sampler=Passes(), num_workers=1 if HOW in ("data in workers", *DATA) and HOW != "touchy" else 0)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(loader):
        x = x * (1 + 0.01 * work())
        if HOW == "module":
            model[2].p = min(0.5, model[2].p + 0.01)
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
