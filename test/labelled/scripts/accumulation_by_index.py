import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters())
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(10):
    for i, (x, y) in enumerate(run.batches(loader)):  # <- loopVariable
        loss = criterion(model(x), y) / 4
        loss.backward()
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
            run.step(loss=loss)
