import torch
import trainstash

model = Net()
optimizer = torch.optim.Adam(model.parameters())
run = trainstash.init(model=model, optimizer=optimizer)
model.to("cuda")  # <- moveAfterInit
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x.cuda()), y.cuda())
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
