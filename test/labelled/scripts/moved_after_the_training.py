import torch
import trainstash
from weights import init


def main():
    model = Net()
    init(model)
    model.to("cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = trainstash.init(model=model, optimizer=optimizer)
    train(run, model, optimizer)
    model.cpu()
    torch.save(model.state_dict(), "model.pt")


main()
