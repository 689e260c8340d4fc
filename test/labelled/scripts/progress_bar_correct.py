import torch
import trainstash
from tqdm import tqdm

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(5):
    bar = tqdm(run.batches(loader), desc=f"epoch {epoch}")
    for x, y in bar:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        bar.set_postfix(loss=loss.item())
