import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        loss = step(model, x, y)
        run.step(loss=loss)
    run.log(val_loss=validate(model))
