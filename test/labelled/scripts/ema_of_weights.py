import torch
import trainstash
from torch.optim.swa_utils import AveragedModel

model = Net()
optimizer = torch.optim.Adam(model.parameters())
ema_model = AveragedModel(model)  # <- untrackedObject
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema_model.update_parameters(model)
        run.step(loss=loss)
