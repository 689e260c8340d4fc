"""State that a loop keeps outside of its variables and objects: in the environment, in modules of libraries, in files, and in other
parts of the process."""

import atexit
import contextvars
import ctypes
import functools
import itertools
import logging
import operator
import os
import queue
import random
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import torch
import trainstash
from case import after, dataset, loader, net
from torch.utils.data import DataLoader, Sampler

HOW = os.environ["HOW"]
# A resume finds the files that the killed process left.
os.chdir(os.environ["FILES"])
model, optimizer = net()


class Private(torch.nn.Module):
    """A network that counts in an attribute with an underscore."""

    def __init__(self):
        super().__init__()
        self._calls = 0

    def forward(self, x):
        self._calls += 1
        return x * (1 + 0.01 * self._calls)


if HOW == "private attribute":
    model.append(Private())
HERE = Path("kept")
HERE.mkdir(exist_ok=True)
NAME = "calls"


class Counted:
    calls = 0


class Slotted:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0


class Descriptor:
    def __init__(self):
        self.reads = 0

    def __get__(self, owner, cls):
        self.reads += 1
        return self.reads


class Described:
    n = Descriptor()


class Doubled(torch.autograd.Function):
    times = 0

    @staticmethod
    def forward(ctx, x):
        Doubled.times += 1
        ctx.by = 1 + 0.01 * Doubled.times
        return x * ctx.by

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.by


class Handler(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = 0

    def emit(self, record):
        self.records += 1


class Local(threading.local):
    n = 0


class Meta(type):
    made = 0

    def __call__(cls, *words):
        Meta.made += 1
        return super().__call__(*words)


class Made(metaclass=Meta):
    pass


class Guard:
    entered = 0

    def __enter__(self):
        Guard.entered += 1
        return Guard.entered

    def __exit__(self, *error):
        return None


VARIABLE = contextvars.ContextVar("n", default=0)
local = threading.local()
local.n = 0
own_local = Local()
slotted, described = Slotted(), Described()
handler = Handler()
logger = logging.getLogger("counted")
logger.addHandler(handler)
logger.setLevel(logging.INFO)
logger.propagate = False
prefetched = queue.Queue()
drawn = random.Random(5)
counter = itertools.count()
accumulated = itertools.accumulate(itertools.repeat(1))
spare = torch.nn.Linear(8, 8)
memory = np.zeros(1)
flags = {"n": 0}


def rounds():
    n = 0
    while True:
        n += 1
        yield n


going = rounds()
got = {"signals": 0}
signal.signal(signal.SIGUSR1, lambda *_: got.update(signals=got["signals"] + 1))
registered = []
atexit.register(lambda: registered.clear())
library = ctypes.CDLL(None)
library.srand(3)


def environment():
    n = int(os.environ.get("CALLS", "0")) + 1
    os.environ["CALLS"] = str(n)
    return n


def library_module():
    torch.calls = getattr(torch, "calls", 0) + 1
    return torch.calls


def inner_module():
    torch.nn.calls = getattr(torch.nn, "calls", 0) + 1
    return torch.nn.calls


def by_getattr():
    setattr(Counted, NAME, getattr(Counted, NAME) + 1)
    return getattr(Counted, NAME)


def by_attrgetter():
    Counted.calls += 1
    return operator.attrgetter(NAME)(Counted)


def by_vars():
    Counted.calls += 1
    return vars(Counted)[NAME]


def native():
    return library.rand() % 10


def context():
    VARIABLE.set(VARIABLE.get() + 1)
    return VARIABLE.get()


def thread_local():
    local.n += 1
    return local.n


def thread_local_class():
    own_local.n += 1
    return own_local.n


def in_thread():
    thread = threading.Thread(target=lambda: flags.update(n=flags["n"] + 1))
    thread.start()
    thread.join()
    return flags["n"]


def queued():
    prefetched.put(run.steps)
    return prefetched.qsize()


def generator():
    return next(going)


def signalled():
    os.kill(os.getpid(), signal.SIGUSR1)
    return got["signals"]


def logged():
    logger.info("step")
    return handler.records


def registering():
    registered.append(1)
    return len(registered)


def in_slots():
    slotted.n += 1
    return slotted.n


def in_context():
    with Guard() as n:
        return n


def made_objects():
    Made()
    return Meta.made


def dtype():
    torch.set_default_dtype(torch.float64 if run.steps > 5 else torch.float32)
    return float(torch.tensor(1 / 3))


def autograd_function():
    return 0


def path_of_modules():
    sys.path.append("x")
    return len(sys.path)


def default_type():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.utils.calls = [*getattr(torch.utils, "calls", []), 1]
    return len(torch.utils.calls)


def attribute_of_function():
    np.mean.__dict__["calls"] = np.mean.__dict__.get("calls", 0) + 1
    return np.mean.__dict__["calls"]


def builtin_name():
    import builtins

    builtins.calls = getattr(builtins, "calls", 0) + 1
    return builtins.calls


def attribute_of_class():
    torch.nn.Linear.calls = getattr(torch.nn.Linear, "calls", 0) + 1
    return torch.nn.Linear.calls


def random_instance():
    return drawn.random()


def counting():
    return next(counter)


def accumulating():
    return next(accumulated)


def in_memory():
    memory[0] += 1
    return memory[0]


def of_tensor():
    model[0].weight.calls = getattr(model[0].weight, "calls", 0) + 1
    return model[0].weight.calls


def of_optimizer_state():
    optimizer.calls = getattr(optimizer, "calls", 0) + 1
    return optimizer.calls


def of_model():
    model.calls = getattr(model, "calls", 0) + 1
    return model.calls


def partial_state(seen, by):
    seen[0] += by
    return seen[0]


partially = functools.partial(partial_state, [0])


def partial():
    return partially(1)


def counted_by_hook():
    return hooked["n"]


hooked = {"n": 0}
if HOW == "counted_by_hook":
    model[0].register_full_backward_hook(lambda *_: hooked.update(n=hooked["n"] + 1))
if HOW == "hook of the tensor":
    model[0].weight.register_hook(lambda grad: grad * (1 + 0.01 * environment()))


work = globals().get(HOW, lambda: 0)


class Epochs(Sampler):
    def __init__(self):
        self.passes = 0

    def __len__(self):
        return 64

    def __iter__(self):
        self.passes += 1
        return iter(torch.randperm(64, generator=torch.Generator().manual_seed(self.passes)).tolist())


def lambdas_in_workers(data):
    seen = []
    first, second = lambda x: x, lambda x: (seen.append(1), x * (1 + 0.01 * len(seen)))[1]
    return DataLoader(data, 4, num_workers=1, collate_fn=lambda rows: (second(torch.stack([first(x) for x, _ in rows])), torch.stack([i for _, i in rows])))


def made_loader():
    if HOW == "lambdas of workers":
        return lambdas_in_workers(dataset())
    if HOW == "sampler with state":
        return DataLoader(dataset(), 4, sampler=Epochs())
    return loader(dataset())


batches = made_loader()
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(batches):
        x = x * (1 + 0.01 * work())
        if HOW == "descriptor":
            x = x * (1 + 0.01 * described.n)
        if HOW == "own text":
            os.environ["IN_TEXT"] = str(int(os.environ.get("IN_TEXT", 0)) + 1)
            x = x * (1 + 0.01 * int(os.environ["IN_TEXT"]))
        if HOW == "module in text":
            torch.in_text = getattr(torch, "in_text", 0) + 1
            x = x * (1 + 0.01 * torch.in_text)
        optimizer.zero_grad()
        out = model(Doubled.apply(x) if HOW == "autograd_function" else x)
        loss = (out - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
