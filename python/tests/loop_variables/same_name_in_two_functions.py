import trainstash

run = trainstash.init(model=model)


def train():
    best = None
    for epoch in run.epochs(3):
        for x in run.batches(loader):
            run.step(loss=step(x))
        if best is None or evaluate() < best:
            best = evaluate()


def tune():
    best = None
    for epoch in run.epochs(9):
        for x in run.batches(small_loader):
            run.step(loss=step(x))
        if best is None or evaluate() < best:
            best = evaluate()
