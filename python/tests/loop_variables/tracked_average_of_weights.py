import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
ema = make_average(model)
run.track(ema=ema)
for epoch in run.epochs(3):
    for x in run.batches(loader):
        step(model, x)
        ema.update(model)
        run.step()
    print(validate(ema))
