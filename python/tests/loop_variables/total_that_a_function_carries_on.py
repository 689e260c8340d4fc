def train_epoch(run, model, loader, total):
    for x in run.batches(loader):
        loss = step(model, x)
        total += loss.item()
        run.step(loss=loss, total=total)
    return total


def main(run, model, loader):
    total = 0.0
    highest = 0.0
    for epoch in run.epochs(3):
        total = train_epoch(run, model, loader, total)
        highest = max(highest, epoch)
