import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, noise in zip(run.batches(loader), noises):
        step(model, x + noise)
        run.step()
