import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
batches = iter(run.batches(loader))
while run.steps < 100:
    x = next(batches)
    step(model, x)
    run.step()
