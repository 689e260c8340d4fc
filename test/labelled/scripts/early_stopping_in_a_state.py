import torch
import trainstash

model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
run = trainstash.init(model=model, optimizer=optimizer)
s = run.state(best=float("inf"), patience=0)
for epoch in run.epochs(100):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    val = evaluate(model, val_loader)
    run.log(val_loss=val)
    if val < s.best:
        s.best, s.patience = val, 0
    else:
        s.patience += 1
    if s.patience > 5:
        break
