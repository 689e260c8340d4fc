import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, z in zip(run.batches(loader), run.batches(other)):
        step(model, x + z)
        run.step()
