import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
bad = 0
for epoch in run.epochs(3):
    for x in run.batches(loader):
        try:
            loss = step(model, x)
        except ValueError:
            bad += 1
            continue
        run.step(loss=loss)
print(bad)
