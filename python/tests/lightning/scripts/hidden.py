"""A training whose script keeps state where Lightning does not look. ``KEEPS``: what of it, in words."""

from __future__ import annotations

import copy
import itertools
import os
import signal
from typing import Any

import lightning as L
import torch
import torchmetrics
import trainstash
from lightning.pytorch.callbacks import LambdaCallback
from torch.utils.data import DataLoader, TensorDataset

KEEPS = os.environ["KEEPS"].split()
X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
COUNT = 0
SEEN: list[int] = []


class Meter:
    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Net(L.LightningModule):
    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(6, 1)
        self.meter, self.factors, self.teachers = Meter(), itertools.cycle([1.0, 1.1, 0.9]), [copy.deepcopy(self.net)]
        if "hook" in KEEPS:
            self.net.register_forward_pre_hook(lambda *_: SEEN.append(1))

    def training_step(self, batch: Any, i: int) -> Any:
        global COUNT
        loss = (self.net(batch[0]) - batch[0][:, :1]).pow(2).mean()
        if "global" in KEEPS:
            COUNT += 1
        if "class" in KEEPS:
            Net.calls += 1
        if "slots" in KEEPS:
            self.meter.number += 1
        if "iterator" in KEEPS:
            loss = loss * next(self.factors)
        if "teacher" in KEEPS:
            average(self.teachers[0], self.net)
            loss = loss + (self.net(batch[0]) - self.teachers[0](batch[0]).detach()).pow(2).mean()
        return loss * (1 + 0.01 * (COUNT + Net.calls + self.meter.number + len(SEEN)))

    def validation_step(self, batch: Any, i: int) -> None:
        self.log("val_loss", self.net(batch).pow(2).mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.02)
        rate = counting() if "rate" in KEEPS else lambda step: 1.0
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, rate), "interval": "step"}]


def counting() -> Any:
    calls = 0

    def count(*_: Any) -> float:
        nonlocal calls
        calls += 1
        return 1 / calls

    return count


def average(into: Any, network: Any) -> None:
    with torch.no_grad():
        for a, b in zip(into.parameters(), network.parameters()):
            a.mul_(0.9).add_(b, alpha=0.1)


class Average(L.Callback):
    def __init__(self) -> None:
        self.mean = torchmetrics.MeanMetric()

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        self.network = copy.deepcopy(module.net)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        average(self.network, module.net)
        self.mean.update(outputs["loss"])
        module.log("mean", self.mean.compute())
        module.log("weight", self.network.weight.sum())
        if str(trainer.global_step) == os.environ.get("KILL"):
            os.kill(os.getpid(), signal.SIGKILL)


class Growing(torch.utils.data.Dataset[Any]):
    reads = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        self.reads += 1
        return X[i] * (1 + self.reads)


L.seed_everything(1)
callbacks = [Average()] if "callback" in KEEPS else []
if "function" in KEEPS:
    callbacks.append(LambdaCallback(on_train_batch_end=counting()))
trainer = L.Trainer(accelerator="cpu", logger=False, max_epochs=1, val_check_interval=3, callbacks=callbacks, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
validation = DataLoader(Growing(), batch_size=4) if "validation" in KEEPS else None
trainstash.attach(trainer).fit(Net(), DataLoader(TensorDataset(X), batch_size=4, shuffle=True), validation)
