import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
losses = []
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        losses.append(step(model, x, y).item())
        run.step()
plot(losses)
