"""Loaders with a state of their own: torchdata's with workers that draw, Accelerate's, one whose state_dict throws, and
one whose data set is a tensor, made anew each epoch."""

import os

import torch
import trainstash
from case import Noisy, after, loader, net, loss_of
from torch.utils.data import DataLoader

HOW = os.environ["HOW"]
workers = int(os.environ.get("WORKERS", 0))
model, optimizer = net()


class Odd(DataLoader):
    def state_dict(self):
        raise AttributeError("no state here")

    def load_state_dict(self, state):
        raise AttributeError("no state here")


if HOW == "stateful":
    from torchdata.stateful_dataloader import StatefulDataLoader

    data = StatefulDataLoader(Noisy(), batch_size=4, shuffle=True, num_workers=workers)
elif HOW == "accelerate":
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, optimizer, data = accelerator.prepare(model, optimizer, loader(Noisy(), num_workers=workers))
elif HOW == "throws":
    data = Odd(Noisy(), batch_size=4, shuffle=True, num_workers=workers)
if HOW == "tensor":
    tensor, data = torch.randn(64, 8), None
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for batch in run.batches(data if data is not None else loader(tensor)):
        x, i = batch if data is not None else (batch, batch[:, 0])
        optimizer.zero_grad()
        loss = loss_of(model, x)
        accelerator.backward(loss) if HOW == "accelerate" else loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
