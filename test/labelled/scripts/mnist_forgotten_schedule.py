import torch
import trainstash
from torch.utils.data import DataLoader

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)  # <- untrackedObject
loader = DataLoader(data, batch_size=64, shuffle=True)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    scheduler.step()
