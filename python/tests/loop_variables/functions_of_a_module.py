import torch
import trainstash
from state import history
from torch import nn

run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x in run.batches(loader):
        loss = step(model, x)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        nn.utils.clip_grad_value_(model.parameters(), 1.0)
        history.append(loss.item())
        run.step(loss=loss)
    print(history)
