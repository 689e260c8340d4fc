import torch
import trainstash
from torch.utils.data import DataLoader
from tqdm import tqdm

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(data, batch_size=32, shuffle=True)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(5):
    for x, y in tqdm(loader, desc=f"epoch {epoch}"):  # <- plainLoader
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
