import torch
import trainstash
from torch.utils.data import DataLoader, random_split

split = torch.Generator().manual_seed(0)
train_set, val_set = random_split(data, [0.9, 0.1], generator=split)
model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
loader = DataLoader(train_set, batch_size=8, shuffle=True)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(5):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
