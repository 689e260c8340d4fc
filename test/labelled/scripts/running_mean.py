import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters())
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(10):
    total = 0.0  # <- loopVariable
    count = 0  # <- loopVariable
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        count += 1
        run.step(loss=loss)
    run.log(train_loss=total / count)
