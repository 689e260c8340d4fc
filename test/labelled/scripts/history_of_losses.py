import json
import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
run = trainstash.init(model=model, optimizer=optimizer)
history = []  # <- loopVariable
for epoch in run.epochs(10):
    losses = []  # <- loopVariable
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        run.step(loss=loss)
    history.append(sum(losses) / len(losses))
json.dump(history, open("history.json", "w"))
