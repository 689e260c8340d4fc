"""A script that does not use the package: nothing is to be said of it."""
import torch

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
best, total = None, 0.0
for epoch in range(10):
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    best = total if best is None else min(best, total)
