import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
run = trainstash.init(model=model, optimizer=optimizer)
for x, y in run.forever(loader):
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(run.steps)
    _, loss = model(x, y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    run.step(loss=loss)
    if run.steps >= 5000:
        break
