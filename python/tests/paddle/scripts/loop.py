"""A loop of the script's own over Paddle's objects, put together from the words in the environment."""

import os
import random
import signal
import time
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import trainstash  # noqa: E402
from paddle import nn  # noqa: E402

WORDS = os.environ.get("WORDS", "").split()
KILL = int(os.environ.get("KILL", "-1"))
PAUSE = int(os.environ.get("PAUSE", "-1"))
SAMPLES, BATCH = 40, 8
paddle.seed(1)
np.random.seed(1)
random.seed(1)
rng = np.random.default_rng(0)
X = rng.normal(size=(SAMPLES, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


class Data(paddle.io.Dataset):
    def __len__(self):
        return SAMPLES

    def __getitem__(self, i):
        x = X[i]
        if "augment" in WORDS:
            x = x + np.random.normal(size=8).astype("float32") * random.random()
        return x, Y[i]


def collate(items):
    x = np.stack([item[0] for item in items]) * np.float32(1 + np.random.rand() * 0.1)
    return x, np.stack([item[1] for item in items])


if os.environ.get("RESUMED") and "earlier" in WORDS:
    nn.Linear(8, 8)

class Counting(nn.Layer):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * (1 + 0.01 * (self.calls % 7))


net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2), Counting())
if "half" in WORDS:
    net.to(dtype="float64")
lr = paddle.optimizer.lr
tracked = {"model": net}
if "warmup" in WORDS:
    schedule = lr.LinearWarmup(lr.CosineAnnealingDecay(0.05, 20), 5, 0.0, 0.05)
    tracked["scheduler"] = schedule
elif "plateau" in WORDS:
    schedule = lr.ReduceOnPlateau(0.05, patience=2)
    tracked["scheduler"] = schedule
else:
    schedule = 0.01
if "groups" in WORDS:
    groups = [{"params": net[0].parameters(), "learning_rate": 0.1}, {"params": [*net[1].parameters(), *net[4].parameters()]}]
    optimizer = paddle.optimizer.AdamW(schedule, parameters=groups, weight_decay=0.01)
elif "momentum" in WORDS:
    optimizer = paddle.optimizer.Momentum(schedule, parameters=net.parameters())
else:
    optimizer = paddle.optimizer.Adam(schedule, parameters=net.parameters(), multi_precision="half" in WORDS)
tracked["optimizer"] = optimizer
scaler = paddle.amp.GradScaler(init_loss_scaling=1024) if "scaler" in WORDS else None
if scaler is not None:
    tracked["scaler"] = scaler
teacher = nn.Linear(8, 2) if "teacher" in WORDS or "untracked" in WORDS else None
if "teacher" in WORDS:
    tracked["teacher"] = teacher
io = paddle.io
workers = 2 if "workers" in WORDS else 0
if "sampler" in WORDS:
    batches = io.BatchSampler(sampler=io.WeightedRandomSampler(np.arange(1.0, SAMPLES + 1), SAMPLES), batch_size=BATCH)
    loader = io.DataLoader(Data(), batch_sampler=batches, num_workers=workers)
elif "distributed" in WORDS:
    loader = io.DataLoader(Data(), batch_sampler=io.DistributedBatchSampler(Data(), BATCH, shuffle=True), num_workers=workers)
else:
    loader = io.DataLoader(Data(), batch_size=BATCH, shuffle=True, num_workers=workers, collate_fn=collate if "collate" in WORDS else None)

run = trainstash.init(**tracked)
for _ in run.epochs(3):
    for x, y in run.batches(loader):
        if "half" in WORDS:
            x = x.astype("float64")
        out = net(x)
        if teacher is not None:
            out = out + teacher(x) * 0.1
        loss = nn.functional.cross_entropy(out.astype("float32"), y)
        if scaler is not None:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            optimizer.step()
        optimizer.clear_grad()
        if teacher is not None:
            for a, b in zip(teacher.parameters(), net[4].parameters()):
                if a.shape == b.shape:
                    a.set_value(a * 0.9 + b * 0.1)
        if "warmup" in WORDS:
            schedule.step()
        if "plateau" in WORDS:
            schedule.step(loss)
        run.step(loss=loss)
        with open("steps.log", "a") as file:
            file.write(f"{run.steps} {loss.item()!r} {optimizer.get_lr()!r}\n")
        if run.steps == KILL:
            run._engine.checkpoints.join()
            os.kill(os.getpid(), signal.SIGKILL)
        if run.steps == PAUSE:
            with open(os.path.join(os.environ["TRAINSTASH_SESSION"], "control"), "w") as file:
                file.write('{"seq": 1, "pause": true}')
            time.sleep(0.15)
print("FINAL", paddle.rand([1]).item(), np.random.rand(), random.random(), run.steps)
