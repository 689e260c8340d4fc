"""transformers.Trainer, as far as a callback sees it (docs: Callbacks; source: trainer.py `_inner_training_loop`)."""
import json, os, random, shutil

import torch


class TrainerCallback:
    def on_train_begin(self, args, state, control, **kwargs): ...
    def on_step_end(self, args, state, control, **kwargs): ...
    def on_log(self, args, state, control, logs=None, **kwargs): ...
    def on_evaluate(self, args, state, control, metrics=None, **kwargs): ...
    def on_save(self, args, state, control, **kwargs): ...
    def on_train_end(self, args, state, control, **kwargs): ...


class Bag:
    def __init__(self, **values): self.__dict__.update(values)


class Arguments(Bag):
    def to_json_string(self): return json.dumps(self.__dict__)


class Trainer:
    def __init__(self, model, args, train_dataset, optimizer):
        self.model, self.args, self.train_dataset, self.optimizer = model, args, train_dataset, optimizer
        self.callbacks = []

    def add_callback(self, callback): self.callbacks.append(callback)

    def _call(self, event, **more):
        for callback in self.callbacks:
            self.control = getattr(callback, event)(self.args, self.state, self.control, **more) or self.control

    def train(self, resume_from_checkpoint=None, trial=None):
        per_epoch = len(self.train_dataset) // 4
        self.state = Bag(global_step=0, epoch=0.0, max_steps=per_epoch * self.args.num_train_epochs, num_train_epochs=self.args.num_train_epochs)
        self.control = Bag(should_save=False, should_training_stop=False)
        if resume_from_checkpoint:
            saved = torch.load(os.path.join(resume_from_checkpoint, "everything.pt"))
            self.model.load_state_dict(saved["model"]); self.optimizer.load_state_dict(saved["optimizer"])
            self.state.global_step = saved["step"]
        self._call("on_train_begin")
        first = True
        for epoch in range(self.state.global_step // per_epoch, self.args.num_train_epochs):
            # The order is seeded by itself, and batches that were seen are skipped; then the random numbers come back.
            order = torch.randperm(len(self.train_dataset), generator=torch.Generator().manual_seed(self.args.seed + epoch)).tolist()
            done = self.state.global_step - epoch * per_epoch
            if resume_from_checkpoint and first:
                torch.set_rng_state(saved["rng"]); random.setstate(saved["python"])
            first = False
            for batch in range(done, per_epoch):
                x = torch.stack([self.train_dataset[i] for i in order[batch * 4 : batch * 4 + 4]])
                self.optimizer.zero_grad(); loss = self.model(x).pow(2).mean(); loss.backward(); self.optimizer.step()
                self.state.global_step += 1
                self.state.epoch = epoch + (batch + 1) / per_epoch
                self._call("on_step_end")
                self._call("on_log", logs={"loss": loss.item(), "learning_rate": 0.1})
                if self.control.should_save:
                    self.control.should_save = False
                    self._save()
                if self.control.should_training_stop:
                    break
            if self.control.should_training_stop:
                break
        self._call("on_train_end")

    def _save(self):
        folder = os.path.join(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        os.makedirs(folder)
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.state.global_step,
                    "rng": torch.get_rng_state(), "python": random.getstate()}, os.path.join(folder, "everything.pt"))
        self._call("on_save")
        # save_total_limit=1
        for name in os.listdir(self.args.output_dir):
            if name != os.path.basename(folder): shutil.rmtree(os.path.join(self.args.output_dir, name))
