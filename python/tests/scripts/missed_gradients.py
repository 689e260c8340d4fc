"""One optimizer, whose gradients the script clears by a call that its text does not show, and once in four steps does not clear."""

import torch
import trainstash
from case import after, dataset, loader

model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9)
data = loader(dataset(64))  # 16 batches
run = trainstash.init(model=model, optimizer=optimizer)
begin = [optimizer.zero_grad, int]

for epoch in run.epochs(2):
    for x, _ in run.batches(data):
        begin[run.steps % 4 == 3]()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, round(float(loss), 7))
