"""State that a loop changes by other ways than an assignment to its variables, or that no ``state_dict`` has."""

import functools
import os
import time
import types
import weakref

import settings
import torch
import trainstash
from case import after, dataset, loader, net

HOW = os.environ["HOW"]
AT = 10
model, optimizer = net()
late = model[3].bias
COUNT = 0


class Growing(torch.optim.SGD):
    """An optimizer with a counter that its ``state_dict`` leaves out."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.01)
        self.calls = 0

    def step(self, closure=None):
        self.calls += 1
        for group in self.param_groups:
            group["lr"] = 0.01 / self.calls
        return super().step(closure)


class Holder:
    n = 0

    @functools.cached_property
    def scale(self):
        return float(model[0].weight.detach().abs().sum()) % 1


    @functools.cached_property
    def pure(self):
        return sum(TABLE)


@functools.lru_cache(maxsize=None)
def of_weights(key):
    return float(model[0].weight.detach().abs().sum()) % 1


@functools.lru_cache(maxsize=None)
def of_key(key):
    return TABLE[key] * 0.1


TABLE = [1, 2, 3]
holder, held = Holder(), Holder()
reference = weakref.ref(held)


def by_globals():
    globals()["COUNT"] = COUNT + 1
    return 0


def by_setattr():
    holder.n = holder.n + 1
    return holder.n


def by_module():
    settings.COUNT += 1
    return settings.COUNT


def by_weakref():
    reference().n += 1
    return held.n


def by_clock():
    return time.time() % 1


WORDS = {"one", "two", "three"}


def by_set():
    return len(list(WORDS)[0])


WAYS = {"lru": lambda: of_weights(0), "pure": lambda: holder.pure + of_key(run.steps % 3), "clock": by_clock, "set": by_set, "globals": by_globals, "setattr": by_setattr, "module": by_module, "weakref": by_weakref, "cached": lambda: holder.scale}
work = WAYS.get(HOW, lambda: 0)
if HOW == "optimizer":
    optimizer = Growing(model.parameters())
if HOW.startswith("group"):
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one is not late], lr=0.01)
run = trainstash.init(model=model, optimizer=optimizer)


def change():
    if HOW == "frozen":
        model[0].requires_grad_(False)
    elif HOW == "evaluating":
        model[1].eval()
    elif HOW == "group":
        optimizer.add_param_group({"params": [late], "lr": 0.1})
    elif HOW == "group of another":
        optimizer.add_param_group({"params": torch.nn.Linear(8, 8).parameters()})
    elif HOW == "layer":
        model.append(torch.nn.Tanh())
    elif HOW == "method":
        model.forward = types.MethodType(lambda self, x: torch.nn.Sequential.forward(self, x) * 0.5, model)


for epoch in run.epochs(3):
    if HOW == "group of an epoch" and epoch == 1:
        optimizer.add_param_group({"params": (one for one in [late]), "lr": 0.1})
    for x, i in run.batches(loader(dataset())):
        if run.steps == AT:
            change()
        x = x * (1 + 0.01 * (work() + COUNT))
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
