import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for i, (x, y) in enumerate(run.batches(loader)):
        backward(model, x, y)
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
            run.step()
