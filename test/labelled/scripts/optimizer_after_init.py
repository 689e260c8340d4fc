import torch
import trainstash

model = Net().to("cuda")
run = trainstash.init(model=model)
optimizer = torch.optim.Adam(model.parameters())  # <- untrackedObject
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
