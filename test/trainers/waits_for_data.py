"""Trains on data that takes longer to read than a step takes, until it is told to end."""
import os, time
import torch
import trainstash

model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, at):
        time.sleep(0.02)
        return torch.ones(2) * at

run = trainstash.init(model=model, optimizer=optimizer)
for x in run.forever(torch.utils.data.DataLoader(Slow(), batch_size=4)):
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    run.step(loss=loss)
    if os.path.exists("end"):
        break
