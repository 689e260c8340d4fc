import torch
import trainstash


class Trainer:
    def __init__(self, model, loader):
        self.model = model
        self.loader = loader
        self.optimizer = torch.optim.AdamW(model.parameters())
        self.best = float("inf")
        self.run = trainstash.init(model=self.model, optimizer=self.optimizer)

    def fit(self, epochs):
        for epoch in self.run.epochs(epochs):  # <- loopVariable
            for x, y in self.run.batches(self.loader):
                loss = self.loss(x, y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.run.step(loss=loss)
            val = self.validate()
            if val < self.best:
                self.best = val
                torch.save(self.model.state_dict(), "best.pt")
