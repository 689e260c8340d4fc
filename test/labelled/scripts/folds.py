import torch
import trainstash

run = trainstash.init()
scores = []  # <- loopVariable
for fold in range(5):  # <- loopVariable
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    run.track(model=model, optimizer=optimizer)
    for epoch in run.epochs(3):
        for x, y in run.batches(loaders[fold]):
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss=loss)
    scores.append(evaluate(model))
print(sum(scores) / len(scores))
