import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for i, x in enumerate(run.batches(loader)):
        step(model, x * 0.99**i)
        run.step()
