"""The objects that a script makes before its loop: data, model, optimizer, schedule, loader."""

from __future__ import annotations

from typing import Dict

from ..space import Choices

#: Batches of an epoch, and epochs.
BATCHES, EPOCHS = 7, 3
STEPS = BATCHES * EPOCHS

_HEAD = '''
import random

import numpy as np
import torch
import trainstash
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, SubsetRandomSampler, TensorDataset, WeightedRandomSampler, random_split

torch.manual_seed(3)
random.seed(3)
np.random.seed(3)

fixed = torch.Generator().manual_seed(1)
xs = torch.randn(28, 8, generator=fixed)
ids = torch.randint(0, 12, (28, 6), generator=fixed)
ys = torch.randint(0, 3, (28,), generator=fixed)


class Items(Dataset):
    """Augmented by all three libraries."""

    def __len__(self):
        return len(xs)

    def __getitem__(self, i):
        noise = random.uniform(0.9, 1.1) + 0.01 * np.random.normal()
        return xs[i] * noise + 0.01 * torch.randn(8), ids[i], ys[i]


data = Items()
'''

#: Each defines ``model``, which maps (x, ids) to three numbers.
MODELS: Dict[str, str] = {
    "mlp": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))

    def forward(self, x, ids):
        return self.body(x)
''',
    "convolution": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Dropout1d(0.3), nn.Flatten(), nn.Linear(24, 3))

    def forward(self, x, ids):
        return self.body(x.unsqueeze(1))
''',
    "recurrent": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 6)
        self.lstm = nn.LSTM(6, 8, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x, ids):
        return self.head(self.lstm(self.words(ids))[0][:, -1])
''',
    "transformer": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x, ids):
        return self.head(self.layer(self.words(ids)).mean(1))
''',
    "tied": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 8)
        self.out = nn.Linear(8, 12, bias=False)
        self.out.weight = self.words.weight
        self.head = nn.Linear(12, 3)

    def forward(self, x, ids):
        return self.head(torch.relu(self.out(self.words(ids).mean(1) + x)))
''',
    "parametrized": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        first = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 16))
        self.body = nn.Sequential(first, nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Linear(16, 3)))

    def forward(self, x, ids):
        return self.body(x)
''',
    "own noise": '''
class Net(nn.Module):
    """Draws from NumPy in the forward pass, and counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(8, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x, ids):
        self.calls += 1
        return self.body(x) + 0.01 * float(np.random.normal()) * random.random()
''',
    "frozen": '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 3))
        self.base.requires_grad_(False)

    def forward(self, x, ids):
        return self.head(self.base(x))
''',
}

_EACH = "[p for p in model.parameters() if p.requires_grad]"
OPTIMIZERS: Dict[str, str] = {
    "SGD": f"torch.optim.SGD({_EACH}, lr=0.05, momentum=0.9, nesterov=True)",
    "plain SGD": f"torch.optim.SGD({_EACH}, lr=0.05)",
    "Adam": f"torch.optim.Adam({_EACH}, lr=0.01, amsgrad=True)",
    "AdamW": f"torch.optim.AdamW({_EACH}, lr=0.01)",
    "fused AdamW": f"torch.optim.AdamW({_EACH}, lr=0.01, fused=True)",
    "two groups": f"torch.optim.AdamW([{{'params': [p for p in {_EACH} if p.ndim > 1], 'weight_decay': 0.1}}, {{'params': [p for p in {_EACH} if p.ndim < 2], 'lr': 0.002}}], lr=0.01)",
    "tensor rate": f"torch.optim.Adam({_EACH}, lr=torch.tensor(0.01))",
    "RMSprop": f"torch.optim.RMSprop({_EACH}, lr=0.005, momentum=0.5, centered=True)",
    "Adagrad": f"torch.optim.Adagrad({_EACH}, lr=0.05)",
    "Adadelta": f"torch.optim.Adadelta({_EACH}, lr=1.0)",
    "Adamax": f"torch.optim.Adamax({_EACH}, lr=0.01)",
    "NAdam": f"torch.optim.NAdam({_EACH}, lr=0.01)",
    "RAdam": f"torch.optim.RAdam({_EACH}, lr=0.01)",
    "ASGD": f"torch.optim.ASGD({_EACH}, lr=0.05)",
    "Rprop": f"torch.optim.Rprop({_EACH}, lr=0.01)",
    "Adafactor": f"torch.optim.Adafactor({_EACH}, lr=0.01)",
    "LBFGS": f"torch.optim.LBFGS({_EACH}, lr=0.1, max_iter=3)",
    "Muon": f"torch.optim.Muon([p for p in {_EACH} if p.ndim == 2], lr=0.01)",
}

#: Text, and whether it is stepped with each optimizer step (or with each epoch).
SCHEDULES: Dict[str, str] = {
    "none": "",
    "StepLR": "torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.7)",
    "MultiStepLR": "torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 8, 15], 0.5)",
    "cosine": f"torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, {STEPS})",
    "restarts": "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 5, 2)",
    "OneCycle": f"torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps={STEPS + 1}, cycle_momentum=False)",
    "cyclic": "torch.optim.lr_scheduler.CyclicLR(optimizer, 0.001, 0.02, step_size_up=4, cycle_momentum=False)",
    "lambda": "torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 / (1 + n))",
    "exponential": "torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)",
    "polynomial": f"torch.optim.lr_scheduler.PolynomialLR(optimizer, {STEPS})",
    "sequential": "torch.optim.lr_scheduler.SequentialLR(optimizer, [torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)], [4])",
    "chained": "torch.optim.lr_scheduler.ChainedScheduler([torch.optim.lr_scheduler.ConstantLR(optimizer, 0.5, 5), torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)])",
    "SWALR": "torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.005, anneal_epochs=6)",
    "plateau": "torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)",
    "by epoch": "torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.6)",
}

#: Each defines ``make()``, which gives the loader; ``LOADERS_ONCE`` are made before ``init``.
LOADERS: Dict[str, str] = {
    "shuffled": "DataLoader(data, 4, shuffle=True, num_workers=WORKERS)",
    "in order": "DataLoader(data, 4, num_workers=WORKERS)",
    "persistent": "DataLoader(data, 4, shuffle=True, num_workers=WORKERS, persistent_workers=WORKERS > 0)",
    "weighted": "DataLoader(data, 4, sampler=WeightedRandomSampler(torch.arange(1.0, 29.0), 28), num_workers=WORKERS)",
    "subset": "DataLoader(data, 4, sampler=SubsetRandomSampler(range(28)), num_workers=WORKERS)",
    "own generator": "DataLoader(data, 4, shuffle=True, generator=torch.Generator().manual_seed(9), num_workers=WORKERS)",
    "own sampler": "DataLoader(data, 4, sampler=Drawn(), num_workers=WORKERS)",
    "own batches": "DataLoader(data, batch_sampler=Bins(), num_workers=WORKERS)",
    "unbatched": "DataLoader(TensorDataset(xs.view(7, 4, 8), ids.view(7, 4, 6), ys.view(7, 4)), None, shuffle=True, num_workers=WORKERS)",
    "list": "[(xs[i : i + 4], ids[i : i + 4], ys[i : i + 4]) for i in range(0, 28, 4)]",
    "split": "DataLoader(random_split(data, [26, 2])[0], 4, shuffle=True, num_workers=WORKERS)",
    "stateful": "StatefulDataLoader(data, 4, shuffle=True, num_workers=WORKERS)",
    "stream": "DataLoader(Stream(), 4, num_workers=min(WORKERS, 1))",
}
_OF_LOADERS = {
    "own sampler": '''
class Drawn(Sampler):
    """Draws by Python's and NumPy's generators."""

    def __len__(self):
        return 28

    def __iter__(self):
        order = list(range(28))
        random.shuffle(order)
        return iter(np.random.permutation(order).tolist())
''',
    "own batches": '''
class Bins(Sampler):
    def __len__(self):
        return 7

    def __iter__(self):
        order = torch.randperm(28).tolist()
        for i in range(0, 28, 4):
            yield order[i : i + 4]
''',
    "stateful": "\nfrom torchdata.stateful_dataloader import StatefulDataLoader\n",
    "stream": '''
class Stream(IterableDataset):
    def __iter__(self):
        for i in torch.randperm(28).tolist():
            yield xs[i], ids[i], ys[i]
''',
}


def preamble(choices: Choices) -> str:
    """Writes everything up to ``init``."""
    lines = [_HEAD, MODELS[choices["model"]], _OF_LOADERS.get(choices["loader"], "")]
    lines.append(f"\nWORKERS = {choices['workers']}\n")
    lines.append(f"\n\ndef make():\n    return {LOADERS[choices['loader']]}\n")
    lines.append("\n\nmodel = Net()\n" + f"optimizer = {OPTIMIZERS[choices['optimizer']]}\n")
    schedule = SCHEDULES[choices["schedule"]]
    if schedule:
        lines.append(f"scheduler = {schedule}\n")
    if choices["scaler"]:
        lines.append('scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=5)\n')
    if choices["average"]:
        lines.append("average = torch.optim.swa_utils.AveragedModel(model)\n")
    lines.append(
        '''

def loss_of(batch):
    x, tokens, y = batch
    return nn.functional.cross_entropy(model(x, tokens), y)


def validate():
    model.eval()
    with torch.no_grad():
        score = sum(loss_of(batch).item() for batch in DataLoader(data, 14))
    model.train()
    return score

'''
        if choices["validation"] != "draws"
        else '''

def loss_of(batch):
    x, tokens, y = batch
    return nn.functional.cross_entropy(model(x, tokens), y)


def validate():
    model.eval()
    with torch.no_grad():
        picked = torch.randint(28, (5,))
        score = nn.functional.cross_entropy(model(xs[picked], ids[picked]), ys[picked]).item()
    model.train()
    return score

'''
    )
    return "".join(lines).lstrip()
