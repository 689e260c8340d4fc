import torch
import trainstash

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)


def finish(loss):
    optimizer.step()
    run.step(loss=loss)


for epoch in run.epochs(5):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        finish(loss)
