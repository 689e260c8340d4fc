"""State that a ``state_dict`` leaves out, or that takes the place of another object while it trains."""

import copy
import os

import torch
import trainstash
from case import after, dataset, loader, net
from torch.utils.data import DataLoader, Subset, WeightedRandomSampler

HOW = os.environ["HOW"]
model, optimizer = net()


class Average:
    """An average of weights. Its count decides how much it takes, and nothing saves that."""

    def __init__(self, model):
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.n = 0

    def update(self, model):
        self.n += 1
        for mine, other in zip(self.module.parameters(), model.parameters()):
            mine.data.lerp_(other.data, 1 - min(0.99, (1 + self.n) / (10 + self.n)))

    def state_dict(self):
        return self.module.state_dict()

    def load_state_dict(self, state):
        self.module.load_state_dict(state)


class Counted(Average):
    """One that saves its count, by a property."""

    @property
    def updates(self):
        return self.n

    def state_dict(self):
        return {"module": super().state_dict(), "updates": self.updates}

    def load_state_dict(self, state):
        self.n = state["updates"]
        super().load_state_dict(state["module"])


class Recurrent(torch.nn.Module):
    """A layer that carries something from one batch to the next."""

    def __init__(self):
        super().__init__()
        if HOW == "hidden of a layer":
            self.hidden = None
        self.mask = None

    def forward(self, x):
        if self.mask is None or self.mask.shape[0] != len(x):
            size = len(x)
            self.mask = torch.ones(size, 1, device=x.device) * self._scale(size)
        x = x * self.mask
        if not HOW.startswith("hidden"):
            return x
        before = getattr(self, "hidden", None)
        out = x if before is None else x + 0.1 * before
        self.hidden = out.detach()
        return out

    def _scale(self, size):
        return 1 / (1 + size)


class Sharpness(torch.optim.Optimizer):
    """An optimizer around another, whose slots its ``state_dict`` leaves out."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.01})
        self.base = torch.optim.SGD(self.param_groups, lr=0.01, momentum=0.9)
        self.param_groups = self.base.param_groups

    def step(self, closure=None):
        return self.base.step()


model.append(Recurrent())
if HOW == "optimizer inside":
    optimizer = Sharpness(model.parameters())
data = dataset()
sampler = WeightedRandomSampler(torch.ones(64), 64)
part = Subset(data, list(range(48)))
average = Average(model) if HOW == "average" else Counted(model)
teacher = copy.deepcopy(model).eval()
if HOW == "weights of a sampler":
    batches = DataLoader(data, batch_size=4, sampler=sampler)
else:
    batches = loader(part if HOW == "part of the data" else data)


def brighten(data):
    data.tensors[0].mul_(1.1)


run = trainstash.init(model=model, optimizer=optimizer, average=average, **({"teacher": teacher} if HOW.startswith("tracked") else {}))
for epoch in run.epochs(4):
    for x, i in run.batches(batches):
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        if HOW.endswith("replaced network"):
            loss = loss + (model(x) - teacher(x).detach()).pow(2).mean()
        loss.backward()
        optimizer.step()
        average.update(model)
        run.step(loss=loss)
        after(run, i.tolist(), loss.item())
    if HOW.endswith("replaced network"):
        teacher = copy.deepcopy(model).eval()
    elif HOW == "copy for a look":
        look = copy.deepcopy(model).eval()
        after(run, float(look(data.tensors[0]).mean()))
    elif HOW == "weights of a sampler":
        sampler.weights = torch.rand(64)
    elif HOW == "part of the data":
        part.indices = list(range(epoch, 48 + epoch))
    elif HOW == "data":
        brighten(data)
run.checkpoint()
