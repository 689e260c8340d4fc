"""The training whose checkpoint of step 13 an earlier version took (`earlier`)."""

import torch
import trainstash
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(3)
x = torch.randn(32, 4)
model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.2), nn.Linear(6, 4))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)
loader = DataLoader(TensorDataset(x), 4, shuffle=True)
for epoch in run.epochs(3):
    for (batch,) in run.batches(loader):
        optimizer.zero_grad()
        loss = (model(batch) - batch).pow(2).mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
        run.step(loss=loss)
        print(run.steps, loss.item(), flush=True)
        if run.steps in (8, 13):
            run.checkpoint()
