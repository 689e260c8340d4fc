"""Logs one thing of each kind at 20 steps; the image is a ramp that brightens."""
import sys
import numpy as np
import torch
import trainstash

seed = int(sys.argv[1])
model = torch.nn.Linear(4, 2)
run = trainstash.init(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), every="20 steps")
noise = np.random.default_rng(seed)
for step in range(1, 21):
    run.step(loss=1.0 / step)
    if step % 5 == 0:
        ramp = np.tile(np.linspace(0, step / 20, 24), (16, 1))
        run.log(
            image={"ramp": ramp, "hostile": b"\x89PNG\r\n\x1a\n" + b"\0" * 40},
            histogram={"weights": noise.normal(size=500)},
            table=[{"digit": i, "guess": (i + seed) % 10, "sure": 1 / (i + 1)} for i in range(30)],
            text=f"<img src=x onerror=alert(1)> at step {step} of seed {seed}",
        )
