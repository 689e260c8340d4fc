import argparse

import torch
import trainstash
from torch.cuda.amp import GradScaler as TorchGradScaler

parser = argparse.ArgumentParser()
parser.add_argument("--amp", action="store_true")
parser.add_argument("--cosine", action="store_true")
args = parser.parse_args()

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
scaler = TorchGradScaler() if args.amp else None  # <- untrackedObject
if args.cosine:
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)  # <- untrackedObject
else:
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x in run.batches(loader):
        loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        if scaler is not None:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            optimizer.step()
        run.step(loss=loss)
    scheduler.step()
