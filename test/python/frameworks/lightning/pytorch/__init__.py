"""lightning.pytorch.Trainer, as far as a callback sees it (docs: Callback API, Trainer.fit; source: trainer.py `_run`,
checkpoint_connector.py): the checkpoint is read through the strategy's CheckpointIO, iterators are made before
`on_train_start`, and no random numbers are kept."""
import torch

from . import callbacks


class CheckpointIO:
    def save_checkpoint(self, checkpoint, path, storage_options=None): torch.save(checkpoint, path)
    def load_checkpoint(self, path, map_location=None): return torch.load(path, map_location)
    def remove_checkpoint(self, path): ...


class Strategy:
    def __init__(self): self.checkpoint_io = CheckpointIO()


class Trainer:
    def __init__(self, max_epochs):
        self.max_epochs, self.callbacks, self.strategy, self.ckpt_path = max_epochs, [], Strategy(), None
        self.world_size, self.global_step, self.current_epoch, self.sanity_checking = 1, 0, 0, False
        self.callback_metrics = {}

    def _call(self, name, *args):
        for callback in self.callbacks: getattr(callback, name)(self, self.model, *args)

    def fit(self, model, train_dataloaders=None, val_dataloaders=None, datamodule=None, ckpt_path=None):
        path = ckpt_path or self.ckpt_path
        self.model, self.optimizer = model, model.configure_optimizers()
        loader = train_dataloaders if train_dataloaders is not None else model.train_dataloader()
        self.num_training_batches = len(loader)
        self.estimated_stepping_batches = len(loader) * self.max_epochs
        if path:
            saved = self.strategy.checkpoint_io.load_checkpoint(path)
            model.load_state_dict(saved["state_dict"]); self.optimizer.load_state_dict(saved["optimizer_states"][0])
            self.global_step, self.current_epoch = saved["global_step"], saved["epoch"]
        batches = iter(loader)
        self._call("on_train_start")
        while self.current_epoch < self.max_epochs:
            for batch_idx, batch in enumerate(batches):
                self.optimizer.zero_grad(); loss = model.training_step(batch, batch_idx); loss.backward(); self.optimizer.step()
                self.global_step += 1
                self.callback_metrics = {"loss": loss.detach()}
                self._call("on_train_batch_end", loss, batch, batch_idx)
            self._call("on_train_epoch_end")
            self.current_epoch += 1
            if self.current_epoch < self.max_epochs: batches = iter(loader)
        self._call("on_train_end")

    def save_checkpoint(self, path, weights_only=False):
        self.strategy.checkpoint_io.save_checkpoint(
            {"state_dict": self.model.state_dict(), "optimizer_states": [self.optimizer.state_dict()], "global_step": self.global_step,
             "epoch": self.current_epoch, "pytorch-lightning_version": "2.0.0", "hyper_parameters": object()}, path)
