def train_epoch(run, model, loader, losses):
    for x in run.batches(loader):
        losses.append(step(model, x).item())
        run.step()
