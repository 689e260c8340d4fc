"""A small conv net on real handwritten digits. The three lines that make it resume bit for bit are marked."""

import argparse
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

import trainstash
from data import load_digits

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.002)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--workers", type=int, default=0)
args = parser.parse_args()

random.seed(0), np.random.seed(0), torch.manual_seed(0)
train, held_out = load_digits()
loader = DataLoader(train, batch_size=64, shuffle=True, num_workers=args.workers)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.3), nn.Linear(800, 10),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(loader))

run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler, params=vars(args))  # 1
for epoch in run.epochs(args.epochs):
    for images, labels in run.batches(loader):  # 2
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        run.step(loss=loss)  # 3
    model.eval()
    with torch.no_grad():
        images, labels = held_out.tensors
        accuracy = (model(images).argmax(1) == labels).float().mean()
    model.train()
    run.log(val_accuracy=accuracy)
    print(f"epoch {epoch}: {accuracy:.2%} of the held-out digits")
