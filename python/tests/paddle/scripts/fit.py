"""One `Model.fit` of Paddle, put together from the words in the environment. Notes the loss after each step."""

import os
import random
import signal
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import trainstash  # noqa: E402
from paddle import nn  # noqa: E402

NET, OPTIMIZER, DATA, CALLBACKS = (os.environ.get(name, "") for name in ("NET", "OPTIMIZER", "DATA", "CALLBACKS"))
EPOCHS = int(os.environ.get("EPOCHS", "3"))
KILL = int(os.environ.get("KILL", "-1"))
KILL_IN = os.environ.get("KILL_IN", "batch")
PAUSE = int(os.environ.get("PAUSE", "-1"))
SAMPLES, BATCH = 40, 8
if os.environ.get("SEEDED", "1") == "1":
    paddle.seed(1)
    np.random.seed(1)
    random.seed(1)

rng = np.random.default_rng(0)
X = rng.normal(size=(SAMPLES, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")[:, None]


class Data(paddle.io.Dataset):
    read = 0

    def __init__(self):
        self.count = 0

    def __len__(self):
        return SAMPLES

    def __getitem__(self, i):
        x = X[i]
        if "augment" in DATA:
            x = x + np.random.normal(size=8).astype("float32") * random.random()
        if "paddle-draws" in DATA:
            x = x + paddle.rand([8]).numpy()
        if "counts" in DATA:
            self.count += 1
            x = x + np.float32(self.count * 1e-3)
        return x, Y[i]


class Stream(paddle.io.IterableDataset):
    passes = 0

    def __iter__(self):
        if "passes" in DATA:
            self.passes += 1
        for i in np.random.permutation(SAMPLES) if "random" in DATA else range(SAMPLES):
            yield X[i], Y[i]


class Noisy(nn.Layer):
    """A layer that draws in its forward pass, and counts how often it was called."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.inner = nn.Linear(8, 8)
        self.register_buffer("seen", paddle.zeros([1]), persistable=False)

    def forward(self, x):
        self.calls += 1
        self.seen.set_value(self.seen + 1)
        return self.inner(x) * (1 + np.random.rand() * 0.1) * (1 + 0.01 * (self.calls % 7)) + self.seen * 1e-3


def net():
    if NET == "same":
        return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    if NET == "dropout":
        return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    if NET == "noisy":
        return nn.Sequential(Noisy(), nn.Dropout(0.2), nn.Linear(8, 2))
    if NET == "recurrent":
        return Recurrent()
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


class Recurrent(nn.Layer):
    def __init__(self):
        super().__init__()
        self.cells = nn.LSTM(2, 6, dropout=0.1)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        return self.out(self.cells(x.reshape([-1, 4, 2]))[0][:, -1])


def optimizer(parameters):
    lr = paddle.optimizer.lr
    if OPTIMIZER == "momentum":
        return paddle.optimizer.Momentum(lr.StepDecay(0.1, 4), parameters=parameters)
    if OPTIMIZER == "warmup":
        schedule = lr.LinearWarmup(lr.CosineAnnealingDecay(0.05, 20), 5, 0.0, 0.05)
        return paddle.optimizer.AdamW(schedule, parameters=parameters, weight_decay=0.01, grad_clip=nn.ClipGradByGlobalNorm(1.0))
    if OPTIMIZER == "restarts":
        return paddle.optimizer.RMSProp(lr.CosineAnnealingWarmRestarts(0.01, 3, 2), parameters=parameters, momentum=0.9)
    if OPTIMIZER == "rising":
        # The loss falls for some epochs, and rises then.
        return paddle.optimizer.SGD(lr.PiecewiseDecay([15], [0.1, -0.5]), parameters=parameters)
    if OPTIMIZER == "sgd":
        return paddle.optimizer.SGD(0.1, parameters=parameters)
    return paddle.optimizer.Adam(0.01, parameters=parameters)


def loader():
    io = paddle.io
    workers = 2 if "workers" in DATA else 0
    if "stream" in DATA:
        return io.DataLoader(Stream(), batch_size=BATCH, num_workers=workers)
    if "list" in DATA:
        return [(paddle.to_tensor(X[i : i + BATCH]), paddle.to_tensor(Y[i : i + BATCH])) for i in range(0, SAMPLES, BATCH)]
    if "sampler" in DATA:
        sampler = io.WeightedRandomSampler(np.arange(1.0, SAMPLES + 1), SAMPLES)
        batches = io.BatchSampler(sampler=sampler, batch_size=BATCH)
        return io.DataLoader(Data(), batch_sampler=batches, num_workers=workers)
    if "loader" in DATA:
        return io.DataLoader(Data(), batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers="persistent" in DATA)
    return Data()


class Count(paddle.callbacks.Callback):
    """A callback with a state of its own."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.losses = []

    def on_train_batch_end(self, step, logs=None):
        self.batches += 1
        self.losses.append(logs["loss"][0])
        if self.batches % 4 == 0 and isinstance(self.model._optimizer._learning_rate, float):
            self.model._optimizer.set_lr(0.01 + 0.001 * (self.batches % 3) + float(np.mean(self.losses[-3:])) * 1e-4)


class Note(paddle.callbacks.Callback):
    """A callback that notes each step, and ends the process."""

    steps = 0
    evaluations = 0

    def on_train_batch_end(self, step, logs=None):
        Note.steps += 1
        with open("steps.log", "a") as file:
            file.write(f"{Note.steps} {logs['loss'][0]!r} {self.model._optimizer.get_lr()!r}\n")
        self.end("batch", Note.steps)

    def on_epoch_end(self, epoch, logs=None):
        self.end("epoch", Note.steps)

    def on_eval_end(self, logs=None):
        Note.evaluations += 1
        self.end("eval", Note.steps)

    def on_epoch_begin(self, epoch, logs=None):
        self.end("begin", Note.steps)

    def end(self, where, step):
        if step == KILL and where == KILL_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == PAUSE and where == KILL_IN:
            folder = os.environ["TRAINSTASH_SESSION"]
            with open(os.path.join(folder, "control"), "w") as file:
                file.write('{"seq": 1, "pause": true}')
            __import__("time").sleep(0.15)  # Requests are looked for ten times a second.


def callbacks():
    found = [Note()]
    if "stopping" in CALLBACKS:
        found.append(paddle.callbacks.EarlyStopping("loss", patience=2, save_best_model=False, verbose=0))
    if "plateau" in CALLBACKS:
        found.append(paddle.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, verbose=0))
    if "epochs" in CALLBACKS:
        found.append(paddle.callbacks.LRScheduler(by_step=False, by_epoch=True))
    if "count" in CALLBACKS:
        found.append(Count())
    ours = trainstash.paddle()
    return [*found, ours] if "last" in CALLBACKS else [ours, *found]


data = loader()


def train(model, **more):
    evaluation = Data() if "eval" in CALLBACKS else None
    model.fit(
        data, evaluation, epochs=EPOCHS, batch_size=BATCH, verbose=2 if "verbose" in CALLBACKS else 0, callbacks=callbacks(),
        accumulate_grad_batches=3 if "accumulate" in CALLBACKS else 1,
        num_workers=2 if DATA == "fit-workers" else 0,
        num_iters=int(os.environ["ITERS"]) if "ITERS" in os.environ else None,
        **more,
    )  # fmt: skip


if os.environ.get("RESUMED") and os.environ.get("EARLIER"):
    nn.Linear(8, 8)  # Another layer before the net: every name that Paddle makes up is another one.
made = net()
model = paddle.Model(made)
metrics = [paddle.metric.Accuracy()] if "metrics" in CALLBACKS else []
model.prepare(optimizer(made.parameters()), nn.CrossEntropyLoss(), metrics)
train(model)
if "twice" in os.environ.get("FITS", ""):
    made.parameters()[0].stop_gradient = True
    train(model)
print("FINAL", paddle.rand([1]).item(), np.random.rand(), random.random(), Note.steps, Note.evaluations)
