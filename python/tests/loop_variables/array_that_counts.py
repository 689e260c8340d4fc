import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
confusion = zeros(10, 10)
for epoch in run.epochs(3):
    for x, y in run.batches(loader):
        confusion[y, predict(model, x)] += 1
        run.step()
    print(confusion)
