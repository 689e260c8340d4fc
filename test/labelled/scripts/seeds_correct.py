import time
import uuid

import numpy as np
import torch
import trainstash

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    torch.manual_seed(1000 + epoch)
    rng = np.random.default_rng([epoch, 7])
    started = time.time()
    for x in run.batches(loader):
        loss = model(x + rng.normal()).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    print(uuid.uuid4().hex, time.time() - started)
