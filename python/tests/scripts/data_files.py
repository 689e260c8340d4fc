"""Data sets that read files, while the training writes some: the same ones, or others."""

import json
import os
from pathlib import Path

import numpy as np
import torch
import trainstash
from case import after, loader, net, samples, train
from torch.utils.data import Dataset

HOW = os.environ["HOW"]
FOLDER = Path(os.environ["FILES"])
x, i = samples()
paths = [str(FOLDER / f"{n}.npy") for n in range(len(x))]
weights = FOLDER / "weights.json"
replay = FOLDER / "replay"
if not weights.exists():
    for path, row in zip(paths, x.numpy()):
        np.save(path, row)
    weights.write_text("[1.0]")
    replay.mkdir()
    np.save(replay / "0.npy", x[0].numpy())


class Weighted(Dataset):
    """Items with a weight from a file that the training writes."""

    def __init__(self):
        self.weights = str(weights)

    def __len__(self):
        return len(x)

    def __getitem__(self, n):
        with open(self.weights) as file:
            return x[n] * json.load(file)[-1], i[n]


class Replayed(Weighted):
    """Items of a folder that the training adds to."""

    def __getitem__(self, n):
        files = sorted(os.listdir(replay))
        return torch.from_numpy(np.load(replay / files[n % len(files)])), i[n]


class Stored(Dataset):
    """Items that lie in files of their own, in the folder that the training writes its records to."""

    def __init__(self):
        self.root, self.paths = FOLDER, paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, n):
        return torch.from_numpy(np.load(self.paths[n])), i[n]


class Cached(Stored):
    """Items that are computed once and kept in files."""

    def __getitem__(self, n):
        cached = FOLDER / f"{n}.cache.npy"
        if not cached.exists():
            np.save(cached, np.load(self.paths[n]) * 2)
        return torch.from_numpy(np.load(cached)), i[n]


kinds = {"weighted": Weighted, "replayed": Replayed, "rewritten": Stored, "records": Stored, "cached": Cached}
kind, _, workers = HOW.partition(" by workers")
data = loader(kinds[kind](), num_workers=1 if "by workers" in HOW else 0)
model, optimizer = net()
run = trainstash.init(model=model, optimizer=optimizer)

for epoch in run.epochs(2):
    for batch, _ in run.batches(data):
        loss = train(model, optimizer, batch)
        run.step(loss=loss)
        with open(FOLDER / "records.csv", "a") as file:
            file.write(f"{run.steps},{float(loss)}\n")
        if kind == "weighted":
            # Workers read it at the same time.
            weights.with_suffix(".new").write_text(json.dumps([1.0 + run.steps / 100]))
            weights.with_suffix(".new").rename(weights)
        if kind == "replayed":
            np.save(replay / f"{run.steps}.npy", batch[0].detach().numpy() + run.steps)
        if kind == "rewritten":
            np.save(FOLDER / "new.npy", np.load(paths[run.steps]) + 1)
            os.replace(FOLDER / "new.npy", paths[run.steps])
        after(run, round(float(loss), 6))
