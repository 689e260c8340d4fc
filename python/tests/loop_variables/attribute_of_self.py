class Trainer:
    def __init__(self, run, model):
        self.run, self.model, self.total = run, model, 0.0

    def fit(self, loader):
        for epoch in self.run.epochs(3):
            for x in self.run.batches(loader):
                loss = step(self.model, x)
                self.total += loss.item()
                self.last = loss
                self.run.step(loss=loss)
        return self.total
