"""Random numbers that are drawn outside of the libraries' ways: after init, at an epoch's beginning, from generators of the
script's own, by a function that gives batches."""

import os
import random

import numpy as np
import torch
import trainstash
from case import Noisy, after, dataset, loader, net, samples, train
from torch.utils.data import Dataset, random_split

HOW = os.environ["HOW"]


class OwnGenerator(Dataset):
    def __init__(self):
        self.x, self.i = samples()
        self.rng = np.random.default_rng(7)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i] + float(self.rng.normal()), self.i[i]


model, optimizer = net()
tracked = {"generator": torch.Generator().manual_seed(11)} if HOW in ("shared", "tracked split") else {}
workers = int(os.environ.get("WORKERS", 0))
if HOW == "shared":
    data = loader(generator=tracked["generator"], num_workers=workers)
run = trainstash.init(model=model, optimizer=optimizer, **tracked)
if HOW == "split":
    part, _ = random_split(dataset(), [48, 16])
    data = loader(part)
elif HOW == "tracked split":
    part, _ = random_split(dataset(), [48, 16], generator=tracked["generator"])
    data = loader(part)
elif HOW == "unseeded":
    random.seed()
    np.random.seed()
    chosen = sorted(np.random.permutation(64)[:48].tolist())
    data = loader(torch.utils.data.Subset(dataset(), chosen))
elif HOW == "own generator":
    data = loader(OwnGenerator(), num_workers=workers)
elif HOW != "shared":
    data = loader(Noisy(), num_workers=workers)
for epoch in run.epochs(3):
    strength = random.random() + float(torch.rand(1)) if HOW == "epoch begins" else 1.0
    for x, i in run.batches(data):
        if HOW == "shared":
            x = x + torch.randn(x.shape, generator=tracked["generator"])
        loss = train(model, optimizer, x * strength)
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
