"""Fills its disk while it trains, and is asked to pause."""
import os, torch, torch.nn as nn
import trainstash
torch.set_num_threads(1)
model = nn.Linear(64, 64)
optimizer = torch.optim.Adam(model.parameters())
run = trainstash.init(model=model, optimizer=optimizer)
while run.steps < 30:
    optimizer.zero_grad(); loss = model(torch.randn(4, 64)).pow(2).mean(); loss.backward(); optimizer.step()
    run.step(loss=loss)
    if run.steps == 12:
        run._engine.checkpoints.join()
        with open(os.environ["FILLER"], "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(65536)): pass
            except OSError:
                pass
            filler.truncate(filler.tell() - int(os.environ["LEFT"]))
    if run.steps == 14:
        open(os.path.join(run._engine.session.path, "control"), "w").write('{"seq": 1, "pause": true}')
        run._engine.boundary.polled = 0
# What it prints goes to the same disk, whose last bytes the checkpoint that is tried just now may have.
run._engine.checkpoints.join()
print("FINAL", run.steps, flush=True)
