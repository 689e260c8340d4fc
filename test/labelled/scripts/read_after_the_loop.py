import torch
import trainstash
from torch.utils.data import DataLoader

from data import dataset, validate

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.Adam(model.parameters())
run = trainstash.init(model=model, optimizer=optimizer)
loader = DataLoader(dataset(), batch_size=32, shuffle=True)

for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    score = validate(model)
    run.log(score=score)

print(f"after {epoch + 1} epochs")  # <- mayBeUnbound
print("final score", score)  # <- mayBeUnbound
torch.save(model.state_dict(), "final.pt")
