import torch
import trainstash

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    import math

    def scaled(value):
        return math.sqrt(value)

    for x in run.batches(loader):
        loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        weights = [w.norm() for w in model.parameters()]
        del weights
print(scaled(4))  # <- mayBeUnbound
print(math.pi)  # <- mayBeUnbound
weights = list(model.parameters())
print(len(weights), [w.shape for w in weights])
