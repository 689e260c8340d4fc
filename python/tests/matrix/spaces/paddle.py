"""PaddlePaddle: `Model.fit` and loops of one's own × networks × data × optimizers × callbacks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from trainstash import arrayfile

from ..space import Choices, DefaultSpace
from ..states import _flat

DIMENSIONS: Dict[str, Sequence[Any]] = {
    "loop": ["fit", "fit", "own"],
    "net": ["plain", "dropout", "noisy", "recurrent", "same"],
    "data": [*7 * ["dataset"], *8 * ["augmented"], *3 * ["paddle draws"], *3 * ["counting"], *3 * ["list"], "stream"],
    "workers": [0, 0, 0, 1, 2],
    "sampler": ["random", "random", "sequential", "weighted", "distributed"],
    "collate": ["default", "default", "random"],
    "optimizer": ["Adam", "AdamW", "Momentum", "SGD", "RMSProp", "Lamb", "NAdam"],
    "schedule": ["none", "StepDecay", "LinearWarmup", "CosineAnnealingWarmRestarts", "ReduceOnPlateau"],
    "callback": ["none", "none", "counts", "stopping", "plateau", "epochs", "verbose"],
    "evaluation": [False, True],
    "metrics": [False, True],
    "accumulation": [1, 1, 1, 3],
    "fits": [1, 1, 1, 2],
    "batch": [8, 8, 7],
}

PREAMBLE = """
import random
import warnings

warnings.simplefilter("ignore")
import numpy as np
import paddle
import trainstash
from paddle import nn

paddle.seed(2)
np.random.seed(2)
random.seed(2)
X = np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")[:, None]


class Data(paddle.io.Dataset):
    def __init__(self, n=40):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return X[i], Y[i]


class Augmented(Data):
    own = np.random.default_rng(5)

    def __getitem__(self, i):
        return (X[i] + np.random.normal(size=8) * random.random() + self.own.normal()).astype("float32"), Y[i]


class PaddleDraws(Data):
    def __getitem__(self, i):
        return X[i] + paddle.rand([8]).numpy(), Y[i]


class Counting(Data):
    def __init__(self, n=40):
        super().__init__(n)
        self.count = 0

    def __getitem__(self, i):
        self.count += 1
        return X[i] + np.float32(1e-3 * self.count), Y[i]


class Stream(paddle.io.IterableDataset):
    def __iter__(self):
        for i in range(40):
            yield X[i], Y[i]


def collate(items):
    scale = np.float32(1 + 0.1 * np.random.rand())
    return np.stack([x for x, _ in items]) * scale, np.stack([y for _, y in items])


class Noisy(nn.Layer):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * (1 + 0.1 * np.random.rand()) * (1 + 0.01 * (self.calls % 7))


class Recurrent(nn.Layer):
    def __init__(self):
        super().__init__()
        self.cells = nn.GRU(2, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        return self.out(self.cells(x.reshape([-1, 4, 2]))[0][:, -1])


class Counts(paddle.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses, self.rng = [], np.random.default_rng(1)

    def on_train_batch_end(self, step, logs=None):
        self.losses.append(logs["loss"][0])
        weight = self.model.network.parameters()[0]
        weight.set_value(weight + 1e-3 * float(self.rng.normal()) / len(self.losses) + 1e-4 * float(np.mean(self.losses[-3:])))

"""

_NETS = {
    "plain": "nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))",
    "dropout": "nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))",
    "noisy": "nn.Sequential(Noisy(), nn.Dropout(0.2), nn.Linear(8, 2))",
    "recurrent": "Recurrent()",
    "same": "nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))",
}
_DATA = {"augmented": "Augmented", "paddle draws": "PaddleDraws", "counting": "Counting"}
_SCHEDULES = {
    "none": "0.01",
    "StepDecay": "paddle.optimizer.lr.StepDecay(0.05, 4)",
    "LinearWarmup": "paddle.optimizer.lr.LinearWarmup(paddle.optimizer.lr.CosineAnnealingDecay(0.05, 20), 5, 0.0, 0.05)",
    "CosineAnnealingWarmRestarts": "paddle.optimizer.lr.CosineAnnealingWarmRestarts(0.02, 3, 2)",
    "ReduceOnPlateau": "paddle.optimizer.lr.ReduceOnPlateau(0.02, patience=1)",
}
_CALLBACKS = {
    "counts": "Counts()",
    "stopping": 'paddle.callbacks.EarlyStopping("loss", patience=2, save_best_model=False, verbose=0)',
    "plateau": 'paddle.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, verbose=0)',
    "epochs": "paddle.callbacks.LRScheduler(by_step=False, by_epoch=True)",
}


class PaddleSpace(DefaultSpace):
    name = "paddle"
    preload = ("paddle",)

    def draw(self, dice: random.Random) -> Choices:
        return _made_possible({name: dice.choice(values) for name, values in DIMENSIONS.items()})

    def script(self, choices: Choices) -> str:
        lines = [f"net = {_NETS[choices['net']]}", f"schedule = {_SCHEDULES[choices['schedule']]}"]
        more = ", momentum=0.9" if choices["optimizer"] == "RMSProp" else ""
        lines.append(f"optimizer = paddle.optimizer.{choices['optimizer']}(learning_rate=schedule, parameters=net.parameters(){more})")
        lines.append(f"data = {_loader(choices)}")
        lines += _own_loop(choices) if choices["loop"] == "own" else _fit(choices)
        return PREAMBLE + "\n".join([*lines, ""])

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        return {"metric": "val_loss", "mode": "min"} if choices["evaluation"] else None

    def kills(self, choices: Choices) -> Sequence[str]:
        return ["saved", "step", "paused", "asked"]

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        saved = arrayfile.read(str(checkpoint / "state.safetensors"))
        for name in ("detours", "went_without", "lost"):
            saved["trainstash"].pop(name, None)
        return dict(_flat(saved))


def _made_possible(choices: Choices) -> Choices:
    """Takes back what does not go together."""
    if choices["data"] in ("list", "stream"):
        choices.update(workers=0, sampler="sequential", collate="default")
    if choices["data"] == "stream":
        choices["accumulation"] = 1  # Paddle asks it for its length, which it has not.
    if choices["data"] in ("counting", "paddle draws"):
        choices["workers"] = 0  # Each worker counts by itself, in a process that may not use a device.
    if choices["loop"] == "own":
        choices.update(callback="none", evaluation=False, metrics=False, accumulation=1, fits=1)
    elif choices["schedule"] == "ReduceOnPlateau":
        choices["schedule"] = "StepDecay"  # Model.fit tells it no loss.
    if choices["callback"] in ("stopping", "plateau"):
        choices["evaluation"] = True
    if choices["callback"] == "plateau":
        choices["schedule"] = "none"
    return choices


def _loader(choices: Choices) -> str:
    if choices["data"] == "list":
        return f"[(paddle.to_tensor(X[i : i + {choices['batch']}]), paddle.to_tensor(Y[i : i + {choices['batch']}])) for i in range(0, 40, {choices['batch']})]"
    if choices["data"] == "stream":
        return f"paddle.io.DataLoader(Stream(), batch_size={choices['batch']})"
    data = f"{_DATA.get(choices['data'], 'Data')}()"
    more = f", num_workers={choices['workers']}" + (", collate_fn=collate" if choices["collate"] == "random" else "")
    sampler = choices["sampler"]
    if sampler in ("random", "sequential"):
        return f"paddle.io.DataLoader({data}, batch_size={choices['batch']}, shuffle={sampler == 'random'}{more})"
    if sampler == "weighted":
        inner = "sampler=paddle.io.WeightedRandomSampler(np.arange(1.0, 41), 40)"
        return f"paddle.io.DataLoader({data}, batch_sampler=paddle.io.BatchSampler({inner}, batch_size={choices['batch']}){more})"
    return f"paddle.io.DataLoader({data}, batch_sampler=paddle.io.DistributedBatchSampler(Data(), {choices['batch']}, shuffle=True){more})"


def _fit(choices: Choices) -> List[str]:
    ours = ["trainstash.paddle()", *([_CALLBACKS[choices["callback"]]] if choices["callback"] in _CALLBACKS else [])]
    metrics = "[paddle.metric.Accuracy()]" if choices["metrics"] else "None"
    evaluation = "Data(16)" if choices["evaluation"] else "None"
    words = f"epochs=3, batch_size={choices['batch']}, verbose={2 if choices['callback'] == 'verbose' else 0}"
    words += f", accumulate_grad_batches={choices['accumulation']}"
    lines = ["model = paddle.Model(net)", f"model.prepare(optimizer, nn.CrossEntropyLoss(), {metrics})"]
    fit = f"model.fit(data, {evaluation}, {words}, callbacks=[{', '.join(ours)}])"
    lines.append(fit)
    if choices["fits"] == 2:
        # Paddle's recurrent kernels cannot train a part of their weights.
        frozen = [] if choices["net"] == "recurrent" else ["net.parameters()[0].stop_gradient = True"]
        lines += ["model.stop_training = False", *frozen, fit]
    return lines


def _own_loop(choices: Choices) -> List[str]:
    schedule = {"none": [], "ReduceOnPlateau": ["        schedule.step(loss)"]}.get(choices["schedule"], ["        schedule.step()"])
    return [
        "run = trainstash.init(model=net, optimizer=optimizer)",
        "for epoch in run.epochs(3):",
        "    for x, y in run.batches(data):",
        "        loss = nn.functional.cross_entropy(net(x), y)",
        "        loss.backward()",
        "        optimizer.step()",
        "        optimizer.clear_grad()",
        *schedule,
        "        run.step(loss=loss)",
    ]


SPACE = PaddleSpace()
