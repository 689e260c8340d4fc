import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
for x in run.forever(loader):
    step(model, x)
    run.step()
    if run.steps >= 1000:
        break
