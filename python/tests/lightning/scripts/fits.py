"""Trainings with Lightning. What one is made of is the JSON in CASE; it notes every step in steps.log, and kills itself before step KILL."""

import argparse
import collections
import enum
import json
import os
import pathlib
import random
import signal
import threading
import time
import warnings

import lightning as L
import numpy as np
import torch
import torchmetrics
import trainstash
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

warnings.simplefilter("ignore" if not os.environ.get("WARN") else "default")
CASE = json.loads(os.environ.get("CASE", "{}"))
KILL, PAUSE = os.environ.get("KILL", ""), int(os.environ.get("PAUSE") or -1)
FIT = 1
X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


def die():
    if os.environ.get("KILL_RANK") not in (None, os.environ.get("LOCAL_RANK", "0")):
        return
    for thread in threading.enumerate():
        if thread.name == "trainstash-writer":
            thread.join()
    os.kill(os.getpid(), signal.SIGKILL)


def note(text):
    rank = os.environ.get("LOCAL_RANK", "0")
    with open("steps.log", "a") as file:
        file.write(f"{rank}/{text}\n")


class Noise(Dataset):
    """A data set whose samples each draw from every generator there is."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return X[i] + torch.rand(8) * 0.1 + random.random() * 0.1 + float(np.random.rand()) * 0.1, X[i, :1] * 2, i


class Stream(IterableDataset):
    passes = 0

    def __iter__(self):
        if CASE.get("data") == "counting stream":
            self.passes += 1
        for i in range(64):
            yield X[i], X[i, :1] * 2, i


def loader(n=64, shuffle=True):
    data = CASE.get("data", "plain")
    many = {"num_workers": CASE.get("workers", 0), "persistent_workers": bool(CASE.get("persistent"))}
    if "stream" in data:
        return DataLoader(Stream(), batch_size=4)
    if data == "noise":
        return DataLoader(Noise(), batch_size=4, shuffle=shuffle, **many)
    made = DataLoader(TensorDataset(X[:n], X[:n, :1] * 2, torch.arange(n)), batch_size=CASE.get("batch", 4), shuffle=shuffle, **many)
    if data == "generator":
        return DataLoader(made.dataset, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(7))
    return made


def train_loader():
    data = CASE.get("data", "plain")
    if data == "dict":
        return {"a": loader(), "b": loader(24)}
    if data in ("min_size", "max_size", "max_size_cycle"):
        return CombinedLoader([loader(), loader(24)], data)
    return loader(drop) if (drop := CASE.get("samples")) else loader()


def first(batch):
    if isinstance(batch, dict):
        return first(batch["a"]), first(batch["b"])[0]
    if isinstance(batch, list) and isinstance(batch[0], list):
        return first(batch[0]), (first(batch[1])[0] if batch[1] is not None else 0)
    return batch[0], batch[1], batch[2]


class Net(L.LightningModule):
    def __init__(self, lr=0.01, path=None, color=None, options=None):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))
        self.accuracy = torchmetrics.MeanMetric()
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.outputs = []
        self.own = random.Random(5)
        if CASE.get("manual"):
            self.automatic_optimization = False

    def loss(self, batch):
        one = first(batch)
        x, y = one[0][:2] if isinstance(one[0], tuple) else one[:2]
        if isinstance(one[0], tuple) and not isinstance(one[1], int):
            x = x + one[1].mean()
        return torch.nn.functional.mse_loss(self.net(x), y)

    def training_step(self, batch, i):
        one = first(batch)
        ids = (one[0][2] if isinstance(one[0], tuple) else one[2]).tolist()
        loss = self.loss(batch)
        self.seen += 1
        self.outputs.append(loss.item())
        noise = self.own.random()
        self.accuracy.update(loss.detach())
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("loss_sum", loss, on_step=False, on_epoch=True)
        if i == 1:
            self.log("rare", loss * 2, on_step=False, on_epoch=True)
        self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
        if CASE.get("manual"):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
            self.manual_backward(loss + noise * 0)
            for optimizer in self.optimizers():
                optimizer.step()
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        note(f"{FIT}:{self.trainer.current_epoch}:{i} {ids} {loss.item().hex()} {float(lr).hex()} {noise:.6f} {int(self.seen)} {torch.rand(1).item():.6f}")
        return loss + noise * 0.01

    def validation_step(self, batch, i):
        loss = self.loss(batch)
        value = loss + (torch.rand(1).item() if CASE.get("random_validation") else 0)
        if CASE.get("known_losses"):
            value = torch.tensor([5, 4, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6][self.trainer.current_epoch % 8])
        note(f"{FIT}:validation:{self.trainer.current_epoch}:{self.trainer.global_step}:{i} {float(value).hex()}" if not self.trainer.sanity_checking else "sanity")
        self.log("val_loss", value)

    def on_train_epoch_end(self):
        note(f"{FIT}:epoch:{self.trainer.current_epoch} {sum(self.outputs).hex()} {len(self.outputs)}")
        self.log("epoch_mean", sum(self.outputs) / max(1, len(self.outputs)))
        self.outputs.clear()

    def configure_optimizers(self):
        if CASE.get("manual"):
            return [torch.optim.AdamW(self.net[0].parameters(), lr=0.01), torch.optim.SGD(self.net[4].parameters(), lr=0.01)]
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        schedule = CASE.get("schedule")
        if schedule == "plateau":
            made = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=CASE.get("patience", 1), factor=0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "monitor": CASE.get("monitor", "val_loss")}}
        if schedule == "plateau_step":
            made = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, factor=0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "monitor": "train_loss", "interval": "step"}}
        if schedule == "cosine":
            made = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=48)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "interval": "step"}}
        return optimizer

    def train_dataloader(self):
        return train_loader()

    def val_dataloader(self):
        return loader(16, False)


class Queue(L.Callback):
    q = collections.deque(maxlen=3)

    def on_train_batch_end(self, trainer, *_):
        self.q.append(trainer.global_step)

    def state_dict(self):
        return {"q": self.q, "n": 1}

    def load_state_dict(self, state):
        self.q = state["q"]


class Counter(L.Callback):
    """A callback that keeps a count, and has no ``state_dict``."""

    def __init__(self):
        self.count = 0
        self.history = {"epochs": []}

    def on_train_batch_end(self, trainer, *_):
        self.count += 1

    def on_train_epoch_end(self, trainer, module):
        self.history["epochs"].append(trainer.current_epoch)


class Thing:
    def __init__(self):
        self.n = 0


class Opaque(L.Callback):
    """A callback that keeps its count in an object that no checkpoint can hold."""

    def __init__(self):
        self.thing = Thing()

    def on_train_batch_end(self, trainer, *_):
        self.thing.n += 1


class Fate(L.Callback):
    def on_train_batch_start(self, trainer, module, batch, i):
        if KILL == f"{FIT}:{trainer.global_step}" or KILL == str(trainer.global_step):
            die()

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == PAUSE and trainer.is_global_zero:
            pathlib.Path(os.environ["TRAINSTASH_SESSION"], "control").write_text('{"seq": 1, "pause": true}')
            time.sleep(0.12)

    def on_train_epoch_end(self, trainer, *_):
        if KILL == f"epoch {trainer.current_epoch}":
            die()


class Color(enum.Enum):
    RED = 1


def trainer(epochs=None, **more):
    monitor = CASE.get("monitor", "val_loss")
    callbacks = [Fate()]
    for name in CASE.get("callbacks", []):
        made = {
            "early": lambda: EarlyStopping(monitor, patience=CASE.get("patience", 2)),
            "checkpoint": lambda: ModelCheckpoint(dirpath="checkpoints", monitor=monitor, save_top_k=2),
            "queue": Queue,
            "counter": Counter,
            "opaque": Opaque,
        }[name]()
        callbacks.append(made)
    more = {**CASE.get("trainer", {}), **more}
    made = L.Trainer(
        max_epochs=epochs or CASE.get("epochs", 3),
        callbacks=callbacks,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing="checkpoint" in CASE.get("callbacks", []),
        **more,
    )
    return trainstash.attach(made)


def result(made, module, *more):
    digest = sum(value.double().abs().sum() for value in module.state_dict().values()).item()
    found = {
        "fit": FIT,
        "weights": digest.hex(),
        "steps": made.global_step,
        "callbacks": [[list(getattr(one, "q", ())), getattr(one, "count", None), getattr(one, "history", None)] for one in made.callbacks],
        "best": [str(getattr(one, "best_model_score", None)) for one in made.callbacks if hasattr(one, "best_model_score")],
        "metrics": sorted((name, float(value).hex()) for name, value in made.callback_metrics.items()),
        "random": [torch.rand(1).item(), random.random(), float(np.random.rand())],
        "more": more,
    }
    print("RESULT" if made.is_global_zero else "OTHER", json.dumps(found), flush=True)


def main():
    global FIT
    kind = CASE.get("script", "fit")
    L.seed_everything(CASE.get("seed", 1))
    if kind == "folds":
        for FIT in (1, 2, 3):
            L.seed_everything(FIT)
            module, made = Net(), trainer(2)
            made.fit(module, loader(), loader(16, False))
            result(made, module)
    elif kind == "phases":
        module = Net()
        made = trainer(1)
        made.fit(module, loader())
        result(made, module)
        for parameter in module.net[0].parameters():
            parameter.requires_grad = False
        FIT, made.fit_loop.max_epochs = 2, 3
        made.fit(module, loader())
        result(made, module)
    elif kind == "tune":
        from lightning.pytorch.tuner import Tuner

        module, made = Net(), trainer()
        FIT = 0
        found = Tuner(made).lr_find(module, loader(), num_training=20, update_attr=True)
        FIT = 2
        note(f"lr: {found.suggestion()}")
        made.fit(module, loader(), loader(16, False))
        result(made, module, module.hparams.lr)
    elif kind == "positional":
        module, made = Net(), trainer()
        made.fit(module, loader(), loader(16, False), None, None)
        result(made, module)
    elif kind == "data module":
        class Module(L.LightningDataModule):
            def setup(self, stage):
                self.made = TensorDataset(X)

            def train_dataloader(self):
                return train_loader()

            def val_dataloader(self):
                return loader(16, False)

        module, made = Net(), trainer()
        made.fit(module, None, None, Module())
        result(made, module)
    elif kind == "own loaders":
        module, made = Net(), trainer()
        made.fit(module)
        result(made, module)
    else:
        more = {"path": pathlib.Path("x"), "color": Color.RED, "options": argparse.Namespace(a=1)} if CASE.get("odd_params") else {}
        module, made = Net(**more), trainer()
        made.fit(module, train_loader(), loader(16, False) if CASE.get("validation", True) else None)
        result(made, module)


main()
