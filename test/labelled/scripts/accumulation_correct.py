import torch
import trainstash

accumulate = 4
model = Net()
optimizer = torch.optim.AdamW(model.parameters())
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y) / accumulate
        loss.backward()
        if run.batch % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            run.step(loss=loss)
