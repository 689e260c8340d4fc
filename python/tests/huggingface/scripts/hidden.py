"""A training whose script keeps state where Transformers does not look."""

from __future__ import annotations

import itertools
import os
from typing import Any

import torch
import trainstash
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments, set_seed

set_seed(2)
X = torch.randint(5, 50, (16, 8), generator=torch.Generator().manual_seed(0))
SEEN: list[int] = []


class Rows(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return {"input_ids": X[i], "labels": int(X[i].sum() % 2)}


class Counts(TrainerCallback):  # type: ignore[misc]
    number = 0

    def __init__(self) -> None:
        self.factors = itertools.cycle([0.1, 0.2, 0.3])

    def on_step_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        Counts.number += 1
        for group in optimizer.param_groups:
            group["weight_decay"] = next(self.factors) * Counts.number


def loss() -> Any:
    calls = 0

    def of(outputs: Any, labels: Any, **_: Any) -> Any:
        nonlocal calls
        calls += 1
        return torch.nn.functional.cross_entropy(outputs.logits, labels) * (1 + 0.01 * calls)

    return of


def joined() -> Any:
    batches = 0

    def join(rows: Any) -> Any:
        nonlocal batches
        batches += 1
        return {"input_ids": torch.stack([row["input_ids"] for row in rows]), "labels": torch.tensor([row["labels"] for row in rows])}

    return join


model = BertForSequenceClassification(
    BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, max_position_embeddings=8)
)
workers = int(os.environ.get("WORKERS", "0"))
if not workers:
    model.classifier.register_forward_hook(lambda *_: SEEN.append(1))
args = TrainingArguments(output_dir="out", per_device_train_batch_size=4, num_train_epochs=1, use_cpu=True, report_to=[], disable_tqdm=True, dataloader_num_workers=workers)
trainstash.attach(Trainer(model, args, train_dataset=Rows(), data_collator=joined(), compute_loss_func=loss(), callbacks=[] if workers else [Counts()])).train()
