import torch
import trainstash
from tqdm import tqdm


def cycle(loader):
    while True:
        yield from loader


model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train_loader = cycle(torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8))
val_loader = cycle(torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8))
run = trainstash.init(model=model, optimizer=optimizer)
for i in tqdm(range(1000), mininterval=10.):  # <- loopVariable
    for _ in range(4):
        loss = model(next(train_loader)).pow(2).mean()  # <- plainLoader
        (loss / 4.).backward()
    optimizer.step()
    optimizer.zero_grad()
    run.step(loss=loss)
    if i % 100 == 0:
        with torch.no_grad():
            print(model(next(val_loader)).pow(2).mean())
