import torch
import trainstash

use_amp = torch.cuda.is_available()
model = Net()
optimizer = torch.optim.AdamW(model.parameters())
scaler = torch.cuda.amp.GradScaler(enabled=use_amp)
run = trainstash.init(model=model, optimizer=optimizer, scaler=scaler, params={"amp": use_amp})
for epoch in run.epochs(10):
    for x, y in run.batches(loader):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", enabled=use_amp):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        run.step(loss=loss)
