import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
best, patience = 1e9, 0
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        step(model, x, y)
        run.step()
    score = validate(model)
    if score < best:
        best = score
        patience = 0
    else:
        patience += 1
    if patience > 3:
        break
