import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    losses = []
    for x, y in run.batches(loader):
        losses.append(step(model, x, y).item())
        run.step()
    run.log(mean=sum(losses) / len(losses))
