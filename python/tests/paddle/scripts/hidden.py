"""A ``Model.fit`` whose script keeps state where Paddle does not look, and a loss that counts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import paddle
import trainstash

paddle.seed(4)
X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
COUNT = 0


class Rows(paddle.io.Dataset):  # type: ignore[misc]
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return X[i], X[i, :1]


class Loss(paddle.nn.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, found: Any, wanted: Any) -> Any:
        self.calls += 1
        return ((found - wanted) ** 2).mean() * (1 + 0.01 * self.calls)


class Average(paddle.callbacks.Callback):  # type: ignore[misc]
    def on_train_begin(self, logs: Any = None) -> None:
        self.network = copy.deepcopy(self.model.network)

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        global COUNT
        COUNT += 1
        for a, b in zip(self.network.parameters(), self.model.network.parameters()):
            a.set_value(0.9 * a + 0.1 * b)


def joined() -> Any:
    batches = 0

    def join(rows: Any) -> Any:
        nonlocal batches
        batches += 1
        return [np.stack([one for one, _ in rows]), np.stack([one for _, one in rows])]

    return join


network = paddle.nn.Linear(4, 1)
model = paddle.Model(network)
model.prepare(paddle.optimizer.SGD(0.01, parameters=network.parameters()), Loss())
model.fit(paddle.io.DataLoader(Rows(), batch_size=4, collate_fn=joined()), epochs=1, verbose=0, callbacks=[trainstash.paddle(), Average()])
print("CALLS", model._loss.calls)
