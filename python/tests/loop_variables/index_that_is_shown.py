import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for i, (x, y) in enumerate(run.batches(loader)):
        loss = step(model, x, y)
        run.step(loss=loss)
        if i % 100 == 0:
            print(epoch, i, loss.item())
