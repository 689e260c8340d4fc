"""Validates after each epoch with a loader that the package does not drive: HOW says which."""

import os

import torch
import trainstash
from case import after, dataset, loader, loss_of, net, train

OPTIONS = {
    "workers that stay": dict(num_workers=1, persistent_workers=True),
    "workers that stay, with a generator": dict(num_workers=1, persistent_workers=True, generator=torch.Generator().manual_seed(5)),
    "workers": dict(num_workers=1),
    "no workers": {},
}
validation = loader(dataset(16, seed=2), shuffle=False, **OPTIONS[os.environ["HOW"]])
model, optimizer = net()
run = trainstash.init(model=model, optimizer=optimizer)
for _ in run.epochs(3):
    for x, _i in run.batches(loader()):
        loss = train(model, optimizer, x)
        run.step(loss=loss)
        after(run, loss.item())
    model.eval()
    with torch.no_grad():
        run.log(val_loss=sum(float(loss_of(model, x)) for x, _i in validation))
    model.train()
