import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
total = 0.0
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        total += step(model, x, y).item()
        run.step()
