import torch
import trainstash

model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
run = trainstash.init(model=model, optimizer=optimizer)
best_loss = float("inf")  # <- loopVariable
patience = 0  # <- loopVariable
for epoch in run.epochs(100):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    val = evaluate(model, val_loader)
    run.log(val_loss=val)
    if val < best_loss:
        best_loss = val
        patience = 0
    else:
        patience += 1
    if patience > 5:
        break
