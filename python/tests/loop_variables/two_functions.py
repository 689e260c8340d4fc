def train_epoch(run, model, loader):
    total = 0.0
    for x in run.batches(loader):
        loss = step(model, x)
        total += loss.item()
        run.step(loss=loss)
    return total / len(loader)


def main(run):
    history = []
    for epoch in run.epochs(3):
        history.append(train_epoch(run, model, loader))
    return history
