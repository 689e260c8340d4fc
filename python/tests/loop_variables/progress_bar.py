import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
from tqdm import tqdm

for epoch in run.epochs(3):
    bar = tqdm(total=len(loader))
    for x in run.batches(loader):
        step(model, x)
        run.step()
        bar.update(1)
    bar.close()
