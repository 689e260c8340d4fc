"""The three lines, with a validation and a schedule at the end of each epoch."""

import os

import torch
import trainstash
from case import after, loader, loss_of, net, train, RESUMED, Noisy

model, optimizer = net()
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
data = loader(Noisy(), num_workers=int(os.environ.get("WORKERS", 0)))
validation = loader(shuffle=False)
run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)
for epoch in run.epochs(3):
    for x, i in run.batches(data):
        loss = train(model, optimizer, x)
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
    model.eval()
    if os.environ.get("DIE_IN_VALIDATION") == str(epoch) and not RESUMED:
        run._engine.checkpoints.join()
        os.kill(os.getpid(), 9)
    with torch.no_grad():
        score = sum(loss_of(model, x).item() for x, _ in validation)
    model.train()
    scheduler.step(score)
    run.log(val_loss=score, last=loss.item())
