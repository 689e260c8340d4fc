import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
average = None
for epoch in run.epochs(3):
    for x in run.batches(loader):
        loss = step(model, x).item()
        average = loss if average is None else 0.9 * average + 0.1 * loss
        run.step()
    run.log(average=average)
