"""Lightning: modules × schedules × data × callbacks × validation × accumulation × shapes of the script."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..hooks import KINDS
from ..space import Choices, DefaultSpace

DIMENSIONS: Dict[str, Sequence[Any]] = {
    "model": ["plain", "dropout and batch norm", "counts by itself", "torchmetrics"],
    "optimizer": ["AdamW", "SGD", "two by hand"],
    "schedule": ["none", "cosine", "step by epoch", "plateau", "plateau by step", "plateau on the epoch's mean"],
    "data": ["plain", "draws", "generator", "two loaders", "shorter ends", "data module", "anew each epoch"],
    "workers": [0, 0, 0, 2],
    "validation": ["none", "epoch", "epoch", "within", "draws", "every second epoch"],
    "callbacks": ["none", "early", "best", "own", "early and own", "learning rates"],
    "accumulation": [1, 1, 1, 3],
    "length": ["epochs", "epochs", "steps", "part of an epoch"],
    "shape": ["one", "one", "one", "folds", "phases"],
    "clip": [False, True],
}
# Parts of a checkpoint that depend on the folder of the launch.
_NO_STATE = (".callbacks.ModelCheckpoint", ".trainstash.ranks[0].checkpoints")


class LightningSpace(DefaultSpace):
    name = "lightning"
    preload = ("numpy", "torch", "torch.utils.data", "lightning", "torchmetrics", "trainstash.lightning")

    def draw(self, dice: random.Random) -> Choices:
        return _made_possible({name: dice.choice(values) for name, values in DIMENSIONS.items()})

    def script(self, choices: Choices) -> str:
        return "\n".join([_HEAD, _data(choices), _module(choices), _callbacks(choices), _run(choices)])

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        return {"metric": "val_loss", "mode": "min"} if choices["validation"] != "none" else None

    def kills(self, choices: Choices) -> Sequence[str]:
        without = [] if choices["validation"] != "none" else ["validation"]
        return [kind for kind in KINDS if kind not in without]

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        return {key: value for key, value in super().state(checkpoint).items() if not key.startswith(_NO_STATE)}


def _made_possible(choices: Choices) -> Choices:
    if choices["optimizer"] == "two by hand":
        choices.update(schedule="none", accumulation=1, clip=False)
    if choices["validation"] in ("none", "every second epoch"):
        choices["callbacks"] = {"early": "own", "best": "none", "early and own": "own"}.get(choices["callbacks"], choices["callbacks"])
        if choices["schedule"] == "plateau":
            choices["schedule"] = "plateau on the epoch's mean"
    if choices["shape"] == "phases":
        choices["length"] = "epochs"
    return choices


_HEAD = """import random, warnings
import numpy as np, torch, torchmetrics
import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from torch.utils.data import DataLoader, Dataset, TensorDataset
import trainstash
warnings.simplefilter("ignore")
X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :1] * 2"""


def _data(choices: Choices) -> str:
    more = ", num_workers=2, persistent_workers=True" if choices["workers"] else ""
    if choices["data"] == "draws":
        body = """class Noise(Dataset):
    def __len__(self): return len(X)
    def __getitem__(self, i): return X[i] + torch.rand(6) * 0.1 + random.random() * 0.1 + float(np.random.rand()) * 0.1, Y[i]
data = Noise()"""
    else:
        body = "data = TensorDataset(X, Y)"
    generator = ", generator=torch.Generator().manual_seed(7)" if choices["data"] == "generator" else ""
    made = f"DataLoader(data, batch_size=4, shuffle=True{generator}{more})"
    if choices["data"] == "two loaders":
        made = f'{{"a": {made}, "b": DataLoader(TensorDataset(X[:12], Y[:12]), batch_size=4, shuffle=True)}}'
    if choices["data"] == "shorter ends":
        made = f'L.pytorch.utilities.combined_loader.CombinedLoader({{"a": {made}, "b": DataLoader(TensorDataset(X[:12], Y[:12]), batch_size=4, shuffle=True)}}, "max_size")'
    shuffled = "True" if choices["validation"] == "draws" else "False"
    return f"""{body}
def training_data(): return {made}
def validation_data(): return DataLoader(TensorDataset(X[:8], Y[:8]), batch_size=4, shuffle={shuffled})
class Module(L.LightningDataModule):
    def setup(self, stage): self.ready = True
    def train_dataloader(self): return training_data()
    def val_dataloader(self): return validation_data()"""


def _module(choices: Choices) -> str:
    net = {
        "dropout and batch norm": "torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)",
    }.get(choices["model"], "torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)")
    counts = choices["model"] == "counts by itself"
    step = ["self.log('train_loss', loss, on_step=True, on_epoch=True)"]
    if counts:
        step += ["self.count += 1", "self.losses.append(loss.item())", "loss = loss * (1 + 0.01 * self.own.random() * min(self.count, 5))"]
    if choices["model"] == "torchmetrics":
        step += ["self.mean.update(loss.detach())", "self.log('mean', self.mean, on_step=False, on_epoch=True)"]
    by_hand = choices["optimizer"] == "two by hand"
    if by_hand:
        step += [
            "a, b = self.optimizers()", "a.zero_grad()", "self.manual_backward(loss)", "a.step()",
            "if i % 2 == 1:", "    b.step()", "    b.zero_grad()", "return None",
        ]  # fmt: skip
    else:
        step += ["return loss"]
    draws = " + torch.rand(1).item() * 0.1" if choices["validation"] == "draws" else ""
    validation = "" if choices["validation"] == "none" else f"""
    def validation_step(self, batch, i): self.log('val_loss', self.loss(batch){draws})"""
    epoch_end = """
    def on_train_epoch_end(self): self.log('sum', sum(self.losses)); self.losses.clear()""" if counts else ""  # fmt: skip
    indented = "\n        ".join(step)
    return f"""class Net(L.LightningModule):
    def __init__(self, lr=0.02):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential({net})
        self.mean = torchmetrics.MeanMetric()
        self.count, self.losses, self.own = 0, [], random.Random(3)
        self.automatic_optimization = {not by_hand}
    def loss(self, batch):
        x, y = batch["a"] if isinstance(batch, dict) else batch
        if isinstance(batch, dict) and batch["b"] is not None: x = x + batch["b"][0].mean()
        return torch.nn.functional.mse_loss(self.net(x), y)
    def training_step(self, batch, i):
        loss = self.loss(batch)
        {indented}{validation}{epoch_end}
    def configure_optimizers(self):
        {_optimizers(choices)}"""


def _optimizers(choices: Choices) -> str:
    if choices["optimizer"] == "two by hand":
        return "return [torch.optim.AdamW(self.net[0].parameters(), lr=0.02), torch.optim.SGD(self.net[-1].parameters(), lr=0.01, momentum=0.9)]"
    made = {"AdamW": "torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)", "SGD": "torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9)"}[choices["optimizer"]]
    schedule = {
        "none": "return o",
        "cosine": "return {'optimizer': o, 'lr_scheduler': {'scheduler': torch.optim.lr_scheduler.CosineAnnealingLR(o, 30), 'interval': 'step'}}",
        "step by epoch": "return [o], [torch.optim.lr_scheduler.StepLR(o, 1, 0.7)]",
        "plateau": "return {'optimizer': o, 'lr_scheduler': {'scheduler': torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, factor=0.6, threshold=0.5), 'monitor': 'val_loss'}}",
        "plateau by step": "return {'optimizer': o, 'lr_scheduler': {'scheduler': torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=2, factor=0.7), 'monitor': 'train_loss', 'interval': 'step'}}",
        "plateau on the epoch's mean": "return {'optimizer': o, 'lr_scheduler': {'scheduler': torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, factor=0.6, threshold=0.5), 'monitor': 'train_loss_epoch'}}",
    }[choices["schedule"]]
    return f"o = {made}\n        {schedule}"


def _callbacks(choices: Choices) -> str:
    known: Dict[str, List[str]] = {
        "early": ["EarlyStopping('val_loss', patience=3)"],
        "best": ["ModelCheckpoint(dirpath='models', monitor='val_loss', save_top_k=2)"],
        "own": ["Count()"],
        "early and own": ["EarlyStopping('val_loss', patience=3)", "Count()"],
        "learning rates": ["LearningRateMonitor()"],
    }
    return f"""class Count(L.Callback):
    def __init__(self): self.seen, self.sums = 0, {{}}
    def on_train_batch_end(self, trainer, module, outputs, batch, i): self.seen += 1; self.sums[trainer.current_epoch] = self.seen
def callbacks(): return [{", ".join(known.get(choices["callbacks"], []))}]"""


def _run(choices: Choices) -> str:
    words = ["accelerator='cpu'", "enable_progress_bar=False", "enable_model_summary=False", "callbacks=callbacks()"]
    words.append("logger=L.pytorch.loggers.CSVLogger('logs')" if choices["callbacks"] == "learning rates" else "logger=False")
    words.append(f"enable_checkpointing={choices['callbacks'] == 'best'}")
    words.append(f"accumulate_grad_batches={choices['accumulation']}")
    words.append({"epochs": "max_epochs=epochs", "steps": "max_steps=10 * epochs - 3, max_epochs=-1", "part of an epoch": "max_epochs=epochs, limit_train_batches=7"}[choices["length"]])
    if choices["validation"] == "within":
        words.append("val_check_interval=3")
    if choices["validation"] == "every second epoch":
        words.append("check_val_every_n_epoch=2")
    if choices["data"] == "anew each epoch":
        words.append("reload_dataloaders_every_n_epochs=1")
    if choices["clip"]:
        words.append("gradient_clip_val=0.5")
    if choices["data"] == "data module":
        fit = "t.fit(m, datamodule=Module())"
    else:
        fit = f"t.fit(m, training_data(){'' if choices['validation'] == 'none' else ', validation_data()'})"
    if choices["data"] == "anew each epoch":
        fit = "t.fit(m, datamodule=Module())"
    trainer = f"def trainer(epochs): return trainstash.attach(L.Trainer({', '.join(words)}))"
    body = {
        "one": f"m, t = Net(), trainer(3)\n{fit}",
        "folds": f"for fold in range(2):\n    L.seed_everything(fold)\n    m, t = Net(), trainer(2)\n    {fit}",
        "phases": f"m, t = Net(), trainer(1)\n{fit}\nfor p in m.net[0].parameters(): p.requires_grad = False\nt.fit_loop.max_epochs = 3\n{fit}",
    }[choices["shape"]]
    return f"{trainer}\nL.seed_everything(1)\n{body}\n"


SPACE = LightningSpace()
