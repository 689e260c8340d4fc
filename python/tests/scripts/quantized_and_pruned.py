"""Networks whose layers compute their weights: by fake quantization with observers, or by masks of pruning."""

import os

import torch
import trainstash
from case import after, dataset, loader
from torch.nn.utils import prune

HOW = os.environ["HOW"]


class Own(torch.nn.Linear):
    """A layer of the script, whose masked weight is an attribute of an object of the script's class."""


first = Own(8, 16) if HOW == "pruned layer of the script" else torch.nn.Linear(8, 16)
model = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(16, 8))
if HOW == "quantized":
    from torch.ao import quantization

    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    model = quantization.prepare_qat(torch.nn.Sequential(quantization.QuantStub(), *model, quantization.DeQuantStub()).train().apply(lambda one: setattr(one, "qconfig", model.qconfig)))
else:
    prune.l1_unstructured(model[0], "weight", 0.3)
    prune.random_unstructured(model[2], "bias", 0.5)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(loader(dataset())):
        if HOW == "pruned again" and run.steps == 10:
            prune.l1_unstructured(model[0], "weight", 0.3)
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
