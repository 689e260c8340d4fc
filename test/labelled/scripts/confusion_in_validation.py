import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    confusion = torch.zeros(10, 10)
    losses = []
    model.eval()
    with torch.no_grad():
        for x, y in val_loader:
            output = model(x)
            losses.append(criterion(output, y).item())
            for t, p in zip(y, output.argmax(1)):
                confusion[t, p] += 1
    model.train()
    run.log(val_loss=sum(losses) / len(losses), val_acc=confusion.diag().sum() / confusion.sum())
