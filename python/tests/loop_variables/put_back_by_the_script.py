import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
best = 0.0
if run.resumed:
    best = run.vars["best"]
for epoch in run.epochs(3):
    for x in run.batches(loader):
        step(model, x)
        run.step()
    best = max(best, validate(model))
    run.vars["best"] = best
    run.log(best=best)
