"""A small model and small data, as most scripts here need them."""

import os
import signal

import keras
import numpy as np

L = keras.layers
rng = np.random.default_rng(0)
x = rng.normal(size=(160, 8)).astype("float32")
y = (x.sum(1) > 0).astype("int32")


class Kill(keras.callbacks.Callback):
    """A callback that kills the process after a batch of the launch, as a machine that goes down does. It counts where nobody takes
    it for state of the training."""

    def on_train_batch_end(self, batch, logs=None):
        left = int(os.environ.get("KILL") or 0) - 1
        if left >= 0:
            os.environ["KILL"] = str(left)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def layers():
    return [L.Dense(8, activation="relu", name="hidden"), L.Dropout(0.3), L.BatchNormalization(), L.Dense(2, name="out")]


def compiled(model, **options):
    options.setdefault("optimizer", keras.optimizers.Adam(1e-2))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"], **options)
    return model


def small(**options):
    return compiled(keras.Sequential([keras.Input((8,)), *layers()]), **options)
