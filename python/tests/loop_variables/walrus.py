import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x in run.batches(loader):
        if (loss := step(model, x)) is not None:
            run.step(loss=loss)
