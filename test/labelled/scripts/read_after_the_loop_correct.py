import torch
import trainstash
from torch.utils.data import DataLoader

from data import dataset, validate

EPOCHS = 10


def main(lr, score=None):
    model = torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    run = trainstash.init(model=model, optimizer=optimizer)
    loader = DataLoader(dataset(), batch_size=32, shuffle=True)
    if lr > 0.1:
        note = "fast"
    else:
        note = "slow"
    with torch.device("cpu"):
        for epoch in run.epochs(EPOCHS):
            for x, y in run.batches(loader):
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
                run.step(loss=loss)
            score = validate(model)
            note = f"epoch {epoch}"
        loss = validate(model)
    print(note, score, loss)
    for epoch in range(3):
        print(epoch)
    losses = [x for x in range(3)]
    return losses


main(0.1)
