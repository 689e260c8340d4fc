"""Loops without epochs: by steps, with batches that are drawn, endless ones, and a batch that is drawn before the step."""

import os

import torch
import trainstash
from case import after, loader, net, samples, train, Noisy

HOW = os.environ["HOW"]
model, optimizer = net()
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 7)
all_x, _ = samples()


def draw():
    return all_x[torch.randint(64, (4,))]


run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)
if HOW == "while":
    while run.steps < 30:
        run.step(loss=train(model, optimizer, draw()))
        after(run)
elif HOW == "range":
    for n in range(run.steps, 30):
        run.step(loss=train(model, optimizer, draw()))
        after(run, n)
elif HOW == "start":
    start = run.steps
    for n in range(start, 30):
        run.step(loss=train(model, optimizer, draw()))
        after(run, n)
elif HOW == "function of batches":
    for x in run.batches(draw, steps=30):
        run.step(loss=train(model, optimizer, x))
        after(run, x.sum().item())
elif HOW == "steps":
    for x, i in run.batches(loader(Noisy()), steps=40):
        run.step(loss=train(model, optimizer, x))
        after(run, i.tolist())
elif HOW == "forever":
    for x, i in run.forever(loader(Noisy())):
        run.step(loss=train(model, optimizer, x))
        after(run, i.tolist())
        if run.steps >= 40:
            break
elif HOW == "rounds":
    data = loader(Noisy())
    while run.steps < 40:
        for x, i in run.batches(data):
            run.step(loss=train(model, optimizer, x))
            after(run, i.tolist())
            if run.steps >= 40:
                break
elif HOW == "prefetched":
    x = draw()
    while run.steps < 30:
        loss = train(model, optimizer, x)
        x = draw()
        run.step(loss=loss)
        after(run, x.sum().item())
elif HOW == "prefetched and kept":
    s = run.state(x=draw())
    while run.steps < 30:
        loss = train(model, optimizer, s.x)
        s.x = draw()
        run.step(loss=loss)
        after(run, s.x.sum().item())
elif HOW == "schedule after the step":
    for epoch in run.epochs(3):
        for x, i in run.batches(loader(Noisy())):
            run.step(loss=train(model, optimizer, x))
            scheduler.step()
            after(run, i.tolist(), optimizer.param_groups[0]["lr"])
run.checkpoint()
