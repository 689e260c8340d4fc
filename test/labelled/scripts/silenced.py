import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)  # trainstash: ignore[untrackedObject]
run = trainstash.init(model=model, optimizer=optimizer)
# trainstash: ignore
seen = 0
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += len(x)
        run.step(loss=loss, seen=seen)
    scheduler.step()
