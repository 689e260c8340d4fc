"""A training with everything that makes a resume hard. The environment selects the variant; prints a hash of the final state."""
import hashlib, os, random, signal, sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

import trainstash

torch.set_num_threads(1)
EPOCHS = int(os.environ.get("EPOCHS", 3))


class Noisy(Dataset):
    def __init__(self):
        g = torch.Generator().manual_seed(1)
        self.x = torch.randn(160, 1, 8, 8, generator=g)
        self.y = torch.randint(0, 10, (160,), generator=g)

    def __len__(self):
        return 160

    def __getitem__(self, i):
        x = self.x[i].clone()
        if random.random() < 0.5:
            x = -x
        return (x * np.random.uniform(0.8, 1.2) + 0.05 * torch.randn_like(x)).float(), self.y[i]


def on(name):
    return os.environ.get(name) == "1"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(288, 10)
        self.back = nn.Linear(288, 10)
        self.back.weight = self.out.weight  # tied

    def forward(self, x):
        h = self.drop(F.relu(self.norm(self.conv(x))).flatten(1))
        return self.out(h) + 0.1 * self.back(h)


class HalfMomentum(torch.optim.Optimizer):
    """float32 slots of bfloat16 weights."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                b = self.state[p].setdefault("buf", torch.zeros_like(p, dtype=torch.float32))
                b.mul_(0.9).add_(p.grad.float())
                p.sub_((b * group["lr"]).to(p.dtype))


torch.manual_seed(0); random.seed(0); np.random.seed(0)
model = Net()
if on("CHANNELS_LAST"):
    model = model.to(memory_format=torch.channels_last)
if on("BF16"):
    model.out = nn.Linear(288, 10).bfloat16(); model.back = nn.Linear(288, 10).bfloat16(); model.back.weight = model.out.weight
    model.forward = lambda x: (lambda h: (model.out(h) + model.back(h)).float())(F.relu(model.norm(model.conv(x))).flatten(1).bfloat16())
    optimizer = HalfMomentum(model.parameters(), 1e-2)
else:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
ema = torch.optim.swa_utils.AveragedModel(model, avg_fn=lambda a, p, n: a * 0.9 + p * 0.1) if not on("BF16") else None
workers = int(os.environ.get("WORKERS", 0))
kw = dict(persistent_workers=True) if on("PERSISTENT") else {}
if on("WEIGHTED"):
    kw["sampler"] = WeightedRandomSampler([1 + i % 3 for i in range(160)], 160)
else:
    kw["shuffle"] = True
loader = DataLoader(Noisy(), batch_size=10, num_workers=workers, **kw)
validation = DataLoader(Noisy(), batch_size=80)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=EPOCHS * 16) if not on("BF16") else None
generator = np.random.default_rng(5)
# A second source of data, longer than the first, read beside it.
other = DataLoader(Noisy(), batch_size=9, shuffle=True, num_workers=workers)

run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler, ema=ema, generator=generator)
for epoch in run.epochs(EPOCHS):
    both = zip(run.batches(loader), run.batches(other)) if on("ZIP") else ((batch, (0, 0)) for batch in run.batches(loader))
    for (x, y), (more, _) in both:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x + float(generator.normal()) * 0.01), y)
        if on("ZIP"):
            loss = loss + 0.1 * model(more).pow(2).mean()
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        if ema:
            ema.update_parameters(model)
        run.step(loss=loss)
        if "DIE" in os.environ and run._engine.checkpoints:
            # On a slow disk the next would be put off, to the last step maybe, and none would be done twice.
            run._engine.checkpoints.join()
        if run.steps == int(os.environ.get("DIE", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        if run.steps == int(os.environ.get("PAUSE", -1)) and not on("PAUSED"):
            open(os.path.join(run._engine.session.path, "control"), "w").write('{"seq": 1, "pause": true}')
            run._engine.boundary.polled = 0
    model.eval()
    with torch.no_grad():
        score = sum(F.cross_entropy(model(x), y).item() for x, y in validation)
    model.train()
    run.vars["best"] = min(run.vars.get("best", 9e9), score)
    run.log(val_loss=score)

h = hashlib.sha256()
for o in (model, ema):
    for t in (o.state_dict().values() if o else []):
        h.update(t.contiguous().view(torch.uint8 if t.dim() else t.dtype).numpy().tobytes() if t.dtype != torch.bfloat16 else t.view(torch.int16).numpy().tobytes())
for slots in optimizer.state_dict()["state"].values():
    for k in sorted(slots):
        h.update(torch.as_tensor(slots[k]).double().contiguous().numpy().tobytes())
h.update(repr(random.getstate()).encode()); h.update(torch.get_rng_state().numpy().tobytes()); h.update(np.random.get_state()[1].tobytes())
h.update(repr(generator.bit_generator.state).encode()); h.update(repr(run.vars).encode()); h.update(repr(scheduler.last_epoch if scheduler else 0).encode())
print("FINAL", h.hexdigest()[:24], run.steps)
