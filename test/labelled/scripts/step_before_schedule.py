import torch
import trainstash
from torch.optim.lr_scheduler import OneCycleLR

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
lr_sched = OneCycleLR(optimizer, max_lr=0.1, total_steps=1000)
run = trainstash.init(model=model, optimizer=optimizer, schedule_=lr_sched)
for epoch in run.epochs(5):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)  # <- earlyStep
        lr_sched.step()
