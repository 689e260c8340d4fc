import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
import time

before = time.time()
for epoch in run.epochs(3):
    for x in run.batches(loader):
        step(model, x)
        run.step()
        print(time.time() - before)
        before = time.time()
