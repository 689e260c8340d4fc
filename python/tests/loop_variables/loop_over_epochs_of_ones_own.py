import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in range(10):
    for x in run.batches(loader):
        step(model, x)
        run.step()
