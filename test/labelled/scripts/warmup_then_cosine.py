import torch
import trainstash
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
warmup = LinearLR(optimizer, 0.01, total_iters=5)
cosine = CosineAnnealingLR(optimizer, 95)
scheduler = SequentialLR(optimizer, [warmup, cosine], milestones=[5])
run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)
for epoch in run.epochs(100):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    scheduler.step()
