"""Three lines in a loop with Accelerate: prepared loaders, optimizers and schedules, gradients accumulated by it."""

import json
import os

import torch
import trainstash
from accelerate import Accelerator, DataLoaderConfiguration
from scripts.case import Noisy, after, dataset, loader, loss_of, net

HOW = json.loads(os.environ.get("HOW", "{}"))
config = DataLoaderConfiguration(**HOW.get("data", {}))
accelerator = Accelerator(cpu=True, dataloader_config=config, gradient_accumulation_steps=HOW.get("accumulate", 1))
model, optimizer = net()
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 48)
data = loader(dataset() if HOW.get("plain") else Noisy(), num_workers=HOW.get("workers", 0), persistent_workers=HOW.get("stays", False))
model, optimizer, schedule, data = accelerator.prepare(model, optimizer, schedule, data)
run = trainstash.init(model=model, optimizer=optimizer, scheduler=schedule)
for _ in run.epochs(3):
    for x, i in run.batches(data):
        with accelerator.accumulate(model):
            loss = loss_of(model, x)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            run.step(loss=loss)
            after(run, i.tolist())
