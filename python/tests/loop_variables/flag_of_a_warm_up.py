import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
warm = False
for epoch in run.epochs(3):
    for x in run.batches(loader):
        if not warm:
            prepare(model)
            warm = True
        step(model, x)
        run.step()
