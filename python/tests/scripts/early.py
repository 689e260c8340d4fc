"""A loop over epochs that a rule of the script's own leaves early."""

import trainstash
from case import after, loader, net, train

model, optimizer = net()
data = loader()
run = trainstash.init(model=model, optimizer=optimizer)
s = run.state(bad=0)
for epoch in run.epochs(5):
    for x, i in run.batches(data):
        run.step(loss=train(model, optimizer, x))
        after(run, epoch, i.tolist())
    s.bad += 1
    if s.bad == 2:
        break
