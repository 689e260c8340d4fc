import torch
import trainstash

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in range(10):  # <- loopVariable
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
