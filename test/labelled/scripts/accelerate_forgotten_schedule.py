import torch
import trainstash
from accelerate import Accelerator

accelerator = Accelerator()
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)  # <- untrackedObject
loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
model, optimizer, scheduler, loader = accelerator.prepare(model, optimizer, scheduler, loader)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x in run.batches(loader):
        loss = model(x).pow(2).mean()
        accelerator.backward(loss)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        run.step(loss=loss)
