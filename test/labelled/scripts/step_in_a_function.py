import torch
import trainstash


def train_batch(run, model, optimizer, x, y):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    run.step(loss=loss)


def main():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = trainstash.init(model=model, optimizer=optimizer)
    for epoch in run.epochs(5):
        for x, y in run.batches(loader):
            train_batch(run, model, optimizer, x, y)
        run.log(val_loss=evaluate(model))


if __name__ == "__main__":
    main()
