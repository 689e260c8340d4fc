import torch
import trainstash

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(5):
    for x, y in run.batches(loader):  # <- noStep
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    run.log(loss=loss.item())
