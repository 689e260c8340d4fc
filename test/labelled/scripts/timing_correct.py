import time
import torch
import trainstash

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
run = trainstash.init(model=model, optimizer=optimizer)
start = time.time()
for epoch in run.epochs(5):
    t0 = time.perf_counter()
    for x, y in run.batches(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    print(f"epoch {epoch}: {time.perf_counter() - t0:.1f} s, {time.time() - start:.0f} s in all")
