import copy
import torch
import trainstash

model = Net()
optimizer = torch.optim.Adam(model.parameters())
ema = None  # <- loopVariable
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value = loss.item()
        ema = value if ema is None else 0.99 * ema + 0.01 * value
        run.step(loss=ema)
