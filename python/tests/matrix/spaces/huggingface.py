"""Transformers' Trainer: models × data × collators × schedules × evaluation × saving × callbacks × classes of trainers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..space import Choices, DefaultSpace
from ..states import _flat

DIMENSIONS: Dict[str, Sequence[Any]] = {
    "model": ["bert", "bert", "masked", "gpt2", "lora", "lora and embeddings"],
    "data": ["rows", "noisy", "noisy", "datasets"],
    "collator": ["default", "masked", "seeded"],
    "workers": [0, 0, 0, 0, 1, 2],
    "accumulation": [1, 1, 1, 2, 5],
    "schedule": ["linear", "cosine", "constant_with_warmup", "polynomial", "reduce_lr_on_plateau"],
    "optimizer": ["adamw_torch", "adamw_torch", "sgd", "adafactor", "rmsprop"],
    "evaluation": ["no", "epoch", "steps"],
    "saving": ["no", "no", "steps", "epoch", "best"],
    "best at end": [False, False, True],
    "callback": ["none", "none", "tally", "draws", "patience", "leaves epochs"],
    "trainer": ["plain", "plain", "counts", "weights only"],
    "order": ["random", "random", "sequential", "group_by_length"],
    "length": ["epochs", "epochs", "steps"],
    "batch": [4, 4, 5],
}

PREAMBLE = """
import random
import numpy as np
import torch
import trainstash
from transformers import (
    BertConfig, BertForMaskedLM, BertForSequenceClassification, EarlyStoppingCallback, GPT2Config, GPT2ForSequenceClassification, Trainer,
    TrainerCallback, TrainingArguments, set_seed,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
random.seed(2)
np.random.seed(2)
set_seed(2)


class Rows(torch.utils.data.Dataset):
    def __init__(self, n):
        self.x = torch.randint(5, 64, (n, 6), generator=torch.Generator().manual_seed(3))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"input_ids": self.x[i], "labels": self.x[i].sum() % 2}


class Noisy(Rows):
    own = np.random.default_rng(7)

    def __getitem__(self, i):
        row = super().__getitem__(i)
        at = [random.randrange(6), int(np.random.randint(6)), int(torch.randint(6, (1,))), int(self.own.integers(6))]
        row["input_ids"] = row["input_ids"].index_fill(0, torch.tensor(at), 7)
        return row


class Masked:
    def __init__(self, seed):
        self.seed, self.generator = seed, None

    def create_rng(self):
        self.generator = torch.Generator().manual_seed(self.seed)

    def __call__(self, rows):
        if self.seed and self.generator is None:
            self.create_rng()
        x = torch.stack([torch.as_tensor(row["input_ids"]) for row in rows])
        mask = torch.rand(x.shape, generator=self.generator) < 0.3
        mask[:, 0] = True
        return {"input_ids": x.masked_fill(mask, 4), "labels": x.masked_fill(~mask, -100)}


class Tally(TrainerCallback):
    def __init__(self):
        self.steps, self.average, self.rng = 0, None, np.random.default_rng(1)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.steps += 1
        weight = next(p for p in model.parameters() if p.requires_grad)
        self.average = weight.detach().clone() if self.average is None else self.average * 0.9 + weight.detach() * 0.1
        with torch.no_grad():
            weight.add_(0.001 * float(self.rng.normal()) / self.steps + 1e-4 * float(self.average.mean()))


class Draws(TrainerCallback):
    def on_epoch_begin(self, args, state, control, **kwargs):
        torch.rand(3)

    def on_evaluate(self, args, state, control, **kwargs):
        random.random()


class LeavesEpochs(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        control.should_epoch_stop = state.global_step % 7 == 0
        return control


class Counts(Trainer):
    seen = 0

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        self.seen += 1
        loss = super().compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
        return (loss[0] / self.seen ** 0.1, loss[1]) if return_outputs else loss / self.seen ** 0.1

"""

_MODELS = {
    "masked": "BertForMaskedLM(config)",
    "bert": "BertForSequenceClassification(config)",
    "gpt2": "GPT2ForSequenceClassification(GPT2Config(vocab_size=64, n_positions=8, n_embd=8, n_layer=1, n_head=2, pad_token_id=0))",
}
_CALLBACKS = {"tally": "Tally()", "draws": "Draws()", "patience": "EarlyStoppingCallback(2)", "leaves epochs": "LeavesEpochs()"}
_TIMES = ("_runtime", "_per_second")


class HuggingFaceSpace(DefaultSpace):
    name = "huggingface"
    preload = ("huggingface.warm",)

    def draw(self, dice: random.Random) -> Choices:
        return _made_possible({name: dice.choice(values) for name, values in DIMENSIONS.items()})

    def script(self, choices: Choices) -> str:
        lines = ["config = BertConfig(vocab_size=64, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=8)"]
        lines.append(f"model = {_MODELS.get(choices['model'], _MODELS['bert'])}")
        if choices["model"].startswith("lora"):
            lines.append("from peft import LoraConfig, get_peft_model")
            lines.append('model = get_peft_model(model, LoraConfig(r=2, target_modules=["query"], lora_dropout=0.1))')
        if choices["model"] == "lora and embeddings":
            lines.append("model.get_input_embeddings().weight.requires_grad_(True)")
        lines += [_data(choices), f"arguments = TrainingArguments({_arguments(choices)})"]
        words = ["model=model", "args=arguments", "train_dataset=data", "eval_dataset=Rows(10)"]
        if choices["collator"] != "default":
            words.append(f"data_collator=Masked({5 if choices['collator'] == 'seeded' else None})")
        if choices["callback"] != "none":
            words.append(f"callbacks=[{_CALLBACKS[choices['callback']]}]")
        lines.append(f"trainer = {'Counts' if choices['trainer'] == 'counts' else 'Trainer'}({', '.join(words)})")
        return PREAMBLE + "\n".join([*lines, "trainstash.attach(trainer).train()", ""])

    def env(self, choices: Choices) -> Mapping[str, str]:
        return {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        return {"metric": "eval_loss", "mode": "min"} if choices["evaluation"] != "no" else None

    def kills(self, choices: Choices) -> Sequence[str]:
        kinds = ["saved", "step", "writing", "paused", "interrupted", "failed", "asked"]
        return [*kinds, "validation"] if choices["evaluation"] != "no" else kinds

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        import torch
        from safetensors.torch import load_file
        from trainstash import ptread

        folder = next(checkpoint.glob("checkpoint-*"))
        found: Dict[str, Any] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix == ".safetensors":
                found[path.name] = load_file(path)
            elif path.name == "trainstash.pt":
                found[path.name] = ptread.read(str(path))
            elif path.suffix in (".pt", ".pth"):
                found[path.name] = torch.load(path, weights_only=False)
            elif path.name == "trainer_state.json":
                found[path.name] = _without_times(json.loads(path.read_text()))
        return dict(_flat(found))


def _made_possible(choices: Choices) -> Choices:
    """Takes back what does not go together."""
    if choices["collator"] != "default":
        choices["model"] = "masked"
    elif choices["model"] == "masked":
        choices["collator"] = "masked"
    if choices["saving"] == "best" or choices["schedule"] == "reduce_lr_on_plateau" or choices["callback"] == "patience" or choices["best at end"]:
        choices["evaluation"] = choices["evaluation"] if choices["evaluation"] != "no" else "steps"
    if choices["callback"] == "patience":
        choices["best at end"] = True
    if choices["best at end"] and choices["saving"] != "best":
        choices["saving"] = choices["evaluation"]
    if choices["data"] == "datasets" or choices["order"] == "group_by_length":
        choices["data"] = "datasets" if choices["data"] == "datasets" else "rows"
    if choices["schedule"] == "reduce_lr_on_plateau":
        choices["saving"] = choices["saving"] if choices["saving"] == "best" else choices["evaluation"]
    return choices


def _data(choices: Choices) -> str:
    if choices["data"] != "datasets":
        return f"data = {'Noisy' if choices['data'] == 'noisy' else 'Rows'}(40)"
    return (
        "from datasets import Dataset\nrows = Rows(40)\n"
        'data = Dataset.from_dict({"input_ids": rows.x.tolist(), "labels": [int(x.sum() % 2) for x in rows.x]})'
    )


def _arguments(choices: Choices) -> str:
    each = 3 if choices["accumulation"] < 5 else 1
    given: Dict[str, Any] = {
        "output_dir": "out", "per_device_train_batch_size": choices["batch"], "learning_rate": 1e-2, "logging_steps": 1, "use_cpu": True,
        "report_to": [], "disable_tqdm": True, "seed": 2, "dataloader_num_workers": choices["workers"],
        "gradient_accumulation_steps": choices["accumulation"], "lr_scheduler_type": choices["schedule"], "warmup_steps": 2,
        "optim": choices["optimizer"], "eval_strategy": choices["evaluation"], "eval_steps": each, "save_strategy": choices["saving"], "save_steps": each,
        "train_sampling_strategy": choices["order"], "load_best_model_at_end": choices["best at end"],
        "save_only_model": choices["trainer"] == "weights only",
    }  # fmt: skip
    given.update({"num_train_epochs": 3} if choices["length"] == "epochs" else {"max_steps": 13 if choices["accumulation"] < 5 else 5})
    if choices["saving"] == "best" or choices["best at end"] or choices["schedule"] == "reduce_lr_on_plateau":
        given["metric_for_best_model"] = "eval_loss"
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


def _without_times(state: Dict[str, Any]) -> Dict[str, Any]:
    entries: List[Dict[str, Any]] = state["log_history"]
    state["log_history"] = [{name: value for name, value in entry.items() if not name.endswith(_TIMES)} for entry in entries]
    return state


SPACE = HuggingFaceSpace()
