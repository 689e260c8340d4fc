import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        loss = step(model, x, y)
        if loss.item() > 5:
            worst = x
        run.step(loss=loss)
    show(worst)
