import torch
import trainstash

model = Net().cuda()
optimizer = torch.optim.AdamW(model.parameters())
scaler = torch.amp.GradScaler("cuda")  # <- untrackedObject
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda"):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        run.step(loss=loss)
