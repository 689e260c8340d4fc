"""A script that is started by hand in a folder of its own, with what a user may do wrong."""

import os

import torch
import trainstash
from case import dataset, loader, net, train

HOW = os.environ["HOW"]
model, optimizer = net()


class Throws:
    def item(self):
        raise RuntimeError("as asked")


class Unreadable:
    def state_dict(self):
        raise RuntimeError("no state today")

    def load_state_dict(self, state):
        pass


more = {"unreadable": Unreadable()} if HOW == "throws" else {}
run = trainstash.init(model=model, optimizer=optimizer, resume=os.environ.get("RESUME") or None, **eval(os.environ.get("INIT", "{}")), **more)
limit = 11 if HOW == "max steps" else None
s = run.state(bad=None)
for epoch in run.epochs(int(os.environ.get("EPOCHS", 3))):
    for n, (x, i) in enumerate(run.batches(loader(dataset(32)))):
        loss = train(model, optimizer, x)
        if HOW == "throws":
            s.bad = object()
            run.vars["bad"] = object()
            run.step(loss=loss, two=torch.ones(2), throws=Throws(), meta=torch.empty(1, device="meta"), text="no number", none=None)
            run.log(throws=Throws(), two=torch.ones(2))
        elif HOW == "accumulates" and (n + 1) % 4 != 0:
            continue
        else:
            run.step(loss=loss)
        if limit and run.steps >= limit:
            break
    if limit and run.steps >= limit:
        break
    if HOW == "early" and epoch == 1:
        break
print("FINAL", run.steps, run.epoch)
