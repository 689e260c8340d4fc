import torch
import trainstash

best = None


def train(run, loader, model, optimizer, again):
    global best
    if again:
        global last
    for epoch in run.epochs(3):
        for x in run.batches(loader):
            last = model(x).pow(2).mean()
            optimizer.zero_grad()
            last.backward()
            optimizer.step()
            run.step(loss=last)
        best = evaluate(model)
    print(best, last)


def evaluate(model):
    return model(torch.randn(8, 4)).mean().item()


model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)
train(run, torch.utils.data.DataLoader(torch.randn(64, 4)), model, optimizer, True)
