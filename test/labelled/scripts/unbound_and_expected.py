import torch
import trainstash
import contextlib

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x in run.batches(loader):
        loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)

# A resume from the end runs no round: the script knows.
try:
    print(loss.item())
except NameError:
    print("nothing was left to train")
with contextlib.suppress(NameError):
    print(x.shape)
if "epoch" in globals():
    print(f"ended in epoch {epoch}")
