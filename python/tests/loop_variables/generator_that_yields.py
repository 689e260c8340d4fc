import trainstash

run = trainstash.init(model=model)


def steps():
    done = 0
    for x in run.batches(loader):
        yield done, step(x)
        done += 1


def counts():
    seen = 0
    for x in run.batches(loader):
        yield seen
        seen += len(x)
