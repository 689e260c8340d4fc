import torch
import trainstash

from data import endless, model_of, validate


def train(steps):
    model = model_of()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    run = trainstash.init(model=model, optimizer=optimizer)
    for batch in run.batches(endless(), steps=steps):  # <- loopVariable
        optimizer.zero_grad()
        out = model(batch)
        out.sum().backward()
        optimizer.step()
        run.step(loss=out.sum())
        if run.step_number % 100 == 0:
            best = validate(model)
    if steps > 100:
        print(best)
    return out  # <- mayBeUnbound


train(1000)
