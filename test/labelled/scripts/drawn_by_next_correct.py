import torch
import trainstash

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train_loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
run = trainstash.init(model=model, optimizer=optimizer)
train_loader = run.forever(train_loader)
while run.steps < 1000:
    loss = model(next(train_loader)).pow(2.).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    run.step(loss=loss)
