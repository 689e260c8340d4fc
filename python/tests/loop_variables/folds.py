import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
results = []
for fold in range(5):
    for epoch in run.epochs(3):
        for x in run.batches(loaders[fold]):
            step(model, x)
            run.step()
    results.append(validate(model))
print(results)
