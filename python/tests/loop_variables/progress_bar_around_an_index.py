import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
from tqdm import tqdm

for epoch in run.epochs(3):
    for i, x in enumerate(tqdm(run.batches(loader))):
        step(model, x, i)
        run.step()
