"""The same training without Trainstash: it saves after each epoch, and resumes with --resume FILE."""

import argparse
import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

from data import load_digits

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.002)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--resume")
args = parser.parse_args()

torch.manual_seed(0)
train, held_out = load_digits()
loader = DataLoader(train, batch_size=64, shuffle=True)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.3), nn.Linear(800, 10),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
start = 0
if args.resume:
    saved = torch.load(args.resume)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])
    start = saved["epoch"] + 1
os.makedirs("checkpoints", exist_ok=True)
for epoch in range(start, args.epochs):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        images, labels = held_out.tensors
        accuracy = (model(images).argmax(1) == labels).float().mean().item()
    model.train()
    # Trainstash reads metrics from such lines, from TensorBoard's files, and from the names of checkpoints.
    print(f"trainstash epoch={epoch} step={(epoch + 1) * len(loader)} loss={loss.item():.6f} val_accuracy={accuracy:.4f}")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state(), "epoch": epoch}
    torch.save(state, f"checkpoints/digits_epoch_{epoch:02d}.pt")
