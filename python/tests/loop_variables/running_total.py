import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    total = 0.0
    for x, y in run.batches(loader):
        loss = step(model, x, y)
        total += loss.item()
        run.step(loss=loss)
    scheduler.step(total / len(loader))
