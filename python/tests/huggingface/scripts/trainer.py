"""One training with Transformers' Trainer as ``HOW`` says it: arguments, data, collator, callbacks. Logs each batch, kills itself
before the step that ``KILL`` names, and leaves its whole state behind at the end."""

import json
import os
import pickle
import random
import shutil
import signal
import sys

import numpy as np
import torch
import trainstash
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
HOW = json.loads(os.environ.get("HOW", "{}"))
RESUMED = bool(os.environ.get("RESUMED"))
KILL = int(os.environ.get("KILL", -1))
PAUSE = int(os.environ.get("PAUSE", -1))
OUT = os.environ.get("OUT", "out")
CONFIG = BertConfig(
    vocab_size=64, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16, num_labels=2
)
# Or importing a framework would decide what comes first.
random.seed(5)
np.random.seed(5)
set_seed(5)


class Rows(torch.utils.data.Dataset):
    def __init__(self, n=40):
        self.x = torch.randint(5, 64, (n, 8), generator=torch.Generator().manual_seed(3))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"input_ids": self.x[i], "labels": self.x[i].sum() % 2}


class Noisy(Rows):
    """Items that draw from all libraries, and from a generator of their own."""

    def __init__(self, n=40):
        super().__init__(n)
        self.own = np.random.default_rng(7)

    def __getitem__(self, i):
        row = super().__getitem__(i)
        at = [random.randrange(8), int(np.random.randint(8)), int(torch.randint(8, (1,))), int(self.own.integers(8))]
        row["input_ids"] = row["input_ids"].index_fill(0, torch.tensor(at), 7)
        return row


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        rows = Rows()
        for i in torch.randperm(40).tolist():
            yield rows[i]


class Counting(Rows):
    """Items that depend on how many were read before."""

    reads = 0

    def __getitem__(self, i):
        self.reads += 1
        row = super().__getitem__(i)
        row["input_ids"] = row["input_ids"].index_fill(0, torch.tensor([self.reads % 8]), 9)
        return row


def masked(rows):
    x = torch.stack([row["input_ids"] for row in rows])
    mask = torch.rand(x.shape) < 0.3
    mask[:, 0] = True
    return {"input_ids": x.masked_fill(mask, 4), "labels": x.masked_fill(~mask, -100)}


def seeded_masked():
    """Makes a collator like DataCollatorForLanguageModeling(seed=…): its generator is made with the first batch."""

    class Collator:
        seed, generator = 5, None

        def create_rng(self):
            self.generator = torch.Generator().manual_seed(self.seed)

        def __call__(self, rows):
            if self.generator is None:
                self.create_rng()
            x = torch.stack([row["input_ids"] for row in rows])
            mask = torch.rand(x.shape, generator=self.generator) < 0.3
            mask[:, 0] = True
            return {"input_ids": x.masked_fill(mask, 4), "labels": x.masked_fill(~mask, -100)}

    return Collator()


def transformers_masked():
    """Makes the real collator, which makes a generator of its own in each worker."""
    from tokenizers import Tokenizer, models
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["[PAD]", "[MASK]", "[UNK]", *(f"w{i}" for i in range(61))])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", mask_token="[MASK]", unk_token="[UNK]")
    inner = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=11)
    return lambda rows: inner([{"input_ids": row["input_ids"]} for row in rows])


class Fate(TrainerCallback):
    """A callback that notes each batch, and kills or asks for a pause."""

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == KILL and not RESUMED:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == PAUSE and not RESUMED:
            with open(os.path.join(os.environ["TRAINSTASH_SESSION"], "control"), "w") as file:
                file.write('{"seq": 1, "pause": true}')
            import time

            time.sleep(0.15)  # Requests are looked for ten times a second.

    def on_log(self, args, state, control, logs=None, **kwargs):
        with open("steps.log", "a") as file:
            said = {key: value for key, value in logs.items() if not key.endswith(("_runtime", "_per_second", "_flos", "train_loss"))}
            file.write(f"{state.global_step}.{'e' if 'eval_loss' in logs else 't' if 'loss' in logs else 'x'} {said!r}\n")


class Tally(TrainerCallback):
    """Counts, keeps an average of the weights, and lowers the rate by what it has counted."""

    def __init__(self):
        self.steps, self.losses, self.average, self.rng = 0, [], None, np.random.default_rng(1)

    def on_epoch_begin(self, args, state, control, **kwargs):
        torch.rand(1)

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        self.steps += 1
        weight = next(model.parameters()).detach()
        self.average = weight.clone() if self.average is None else self.average * 0.9 + weight * 0.1
        with torch.no_grad():
            next(model.parameters()).add_(0.001 * float(self.rng.normal()) / self.steps)
        if self.steps % 5 == 0:
            self.losses.append(float(self.average.sum()))


class StopsEpoch(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        control.should_epoch_stop = state.global_step % 7 == 0
        return control


class Deciding(TrainerCallback):
    """A callback that decides after all others, and against them."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_save = False
        return control


class Unkept(TrainerCallback):
    """A callback that holds something that no checkpoint can hold."""

    def on_step_end(self, args, state, control, **kwargs):
        self.order = iter(range(10)) if state.global_step == 1 else self.order


class Drawing(torch.nn.Module):
    """A model with a generator, and counts that are no tensors."""

    def __init__(self):
        super().__init__()
        self.inner = BertForSequenceClassification(CONFIG)
        self.own, self.calls = torch.Generator().manual_seed(2), 0
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, input_ids=None, labels=None):
        self.calls += 1
        self.seen += 1
        out = self.inner(input_ids=input_ids, labels=labels)
        return {"loss": out.loss * torch.rand((), generator=self.own) / self.seen + 0.1 / self.calls, "logits": out.logits}


class Counts(Trainer):
    """A trainer with a state of its own."""

    seen = 0

    def compute_loss(self, model, inputs, *args, **kwargs):
        self.seen += 1
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        weight = 1 / self.seen
        return (loss[0] * weight, *loss[1:]) if isinstance(loss, tuple) else loss * weight


class SavesLittle(Trainer):
    def _save_checkpoint(self, model, trial):
        folder = os.path.join(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        os.makedirs(folder, exist_ok=True)
        torch.save(next(model.parameters()), os.path.join(folder, "first.pt"))


class SavesItsOwn(Trainer):
    def save_model(self, output_dir=None, _internal_call=False):
        os.makedirs(output_dir, exist_ok=True)
        torch.save(self.model.state_dict(), os.path.join(output_dir, "mine.pt"))


DATA = {"rows": Rows, "noisy": Noisy, "stream": Stream, "counting": Counting}
COLLATORS = {None: lambda: None, "masked": lambda: masked, "seeded": seeded_masked, "transformers": transformers_masked}
CALLBACKS = {"tally": Tally, "stops epoch": StopsEpoch, "deciding": Deciding, "unkept": Unkept, "patience": lambda: EarlyStoppingCallback(3)}
TRAINERS = {"plain": Trainer, "counts": Counts, "saves little": SavesLittle, "saves its own": SavesItsOwn}


def arguments(**more):
    given = {
        "output_dir": OUT, "num_train_epochs": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 1,
        "save_strategy": "no", "use_cpu": True, "report_to": [], "disable_tqdm": True, "seed": 5, **HOW.get("args", {}), **more,
    }  # fmt: skip
    return TrainingArguments(**given)


def made(**more):
    collate = COLLATORS[HOW.get("collate")]()
    model = Drawing() if HOW.get("model") == "drawing" else (BertForMaskedLM if collate else BertForSequenceClassification)(CONFIG)
    if HOW.get("lora"):
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=2, target_modules=["query"], lora_dropout=0.1, **HOW["lora"]))
        if HOW.get("beside"):
            model.get_input_embeddings().weight.requires_grad_(True)
    evaluated = {"eval_dataset": Rows(16)} if HOW.get("args", {}).get("eval_strategy") else {}
    callbacks = [CALLBACKS[name]() for name in HOW.get("callbacks", ())]
    trainer = TRAINERS[HOW.get("trainer", "plain")](
        model=model, args=arguments(**more), train_dataset=DATA[HOW.get("data", "rows")](), data_collator=collate, callbacks=callbacks, **evaluated
    )
    if HOW.get("metric"):
        trainer.compute_metrics = lambda out: {"first": float(out.predictions[0][0])}
    trainer = trainstash.attach(trainer)
    trainer.add_callback(Fate())
    return trainer


def state_of(trainer):
    """Collects all that has to be the same."""
    history = [
        {key: value for key, value in entry.items() if not key.endswith(("_runtime", "_per_second"))}
        for entry in trainer.state.log_history
    ]
    callbacks = {
        type(one).__name__: {key: value for key, value in vars(one).items() if isinstance(value, (int, float, list, torch.Tensor))}
        for one in trainer.callback_handler.callbacks
        if type(one).__name__ in ("Tally", "EarlyStoppingCallback")
    }
    return {
        "model": dict(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": {key: value for key, value in trainer.lr_scheduler.state_dict().items() if key != "lr_lambdas"},
        "random": [torch.get_rng_state(), random.getstate(), repr(np.random.get_state())],
        "history": history,
        "step": trainer.state.global_step,
        "best": [trainer.state.best_metric, os.path.basename(trainer.state.best_model_checkpoint or "")],
        "callbacks": callbacks,
        "seen": getattr(trainer, "seen", None),
    }


def leave(*trainers):
    with open("final.pickle", "wb") as file:
        pickle.dump([state_of(trainer) for trainer in trainers], file)


if __name__ == "__main__":
    if RESUMED and HOW.get("output is gone"):
        shutil.rmtree(OUT, ignore_errors=True)
    trainer = made()
    if HOW.get("evaluates first"):
        trainer.evaluate(Rows(8))
    trainer.train(**HOW.get("train", {}))
    leave(trainer)
    sys.stdout.flush()
