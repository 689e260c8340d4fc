import os
import random
import time

import numpy as np
import torch
import trainstash

torch.manual_seed(int(time.time()))
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    random.seed()  # <- otherValue
    np.random.seed(epoch)
    for x in run.batches(loader):
        torch.manual_seed(int.from_bytes(os.urandom(4), "little"))  # <- otherValue
        noise = np.random.default_rng(seed=time.time_ns()).normal()  # <- otherValue
        loss = model(x + noise).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
    print(f"{time.time():.0f}: epoch {epoch}", os.getpid())
