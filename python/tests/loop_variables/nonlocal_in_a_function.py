import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
total = 0.0


def main():
    count = 0

    def add(x):
        nonlocal count
        count += x

    for epoch in run.epochs(3):
        for x in run.batches(loader):
            add(step(model, x).item())
            run.step()
    print(count)
