import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(2):
    for i, x in enumerate(run.batches(loader)):
        loss = step(model, x)
        if i % 10 == 0:
            print(i, loss)
            if verbose:
                print(i / 10.)
        run.step()
