import numpy as np
import torch
import trainstash

rng = np.random.default_rng(0)  # <- untrackedObject
model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(5):
    for x, y in run.batches(loader):
        x = x + rng.normal(size=x.shape)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
