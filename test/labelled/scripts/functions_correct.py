import argparse
import torch
import trainstash


def train_one_epoch(run, model, loader, optimizer, criterion):
    model.train()
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    correct, total = 0, 0
    for x, y in loader:
        correct += (model(x).argmax(1) == y).sum().item()
        total += len(y)
    return correct / total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    args = parser.parse_args()
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
    run = trainstash.init(params=vars(args), model=model, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs(90):
        train_one_epoch(run, model, train_loader, optimizer, torch.nn.CrossEntropyLoss())
        scheduler.step()
        run.log(val_acc=evaluate(model, val_loader))


main()
