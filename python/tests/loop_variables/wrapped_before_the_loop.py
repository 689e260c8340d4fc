import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
batches = run.batches(loader)
for epoch in run.epochs(3):
    for x in batches:
        step(model, x)
        run.step()
