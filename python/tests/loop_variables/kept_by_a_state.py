import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
s = run.state(total=0.0, losses=[])
for epoch in run.epochs(3):
    for x in run.batches(loader):
        loss = step(model, x)
        s.total += loss.item()
        s.losses.append(loss.item())
        run.step(loss=loss)
    run.log(total=s.total)
