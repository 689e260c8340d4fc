"""A training for each combination of model, data, callbacks, precision and seed, as the environment names them."""

import os

import keras
import numpy as np
import trainstash
from common import Kill, L, compiled, layers, x, y

E = os.environ
EPOCHS = int(E.get("EPOCHS") or 4)
BATCH = 32
if E.get("SEED"):
    keras.utils.set_random_seed(int(E["SEED"]))
if E.get("POLICY"):
    keras.config.set_dtype_policy(E["POLICY"])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.stack = layers()

    def call(self, inputs, training=False):
        for layer in self.stack:
            inputs = layer(inputs, training=training)
        return inputs


class Twins(keras.Model):
    """Two optimizers, as a GAN has them."""

    def __init__(self):
        super().__init__()
        self.stack = keras.Sequential(layers())
        self.second = keras.optimizers.SGD(1e-3, momentum=0.9)

    def call(self, inputs, training=False):
        return self.stack(inputs, training=training)


def quantized(kind):
    model = keras.Sequential([keras.Input((8,)), L.Dense(8, activation="relu"), L.Dense(2)])
    if kind == "int8":
        for layer in model.layers:
            layer.enable_lora(2)
    model.quantize(kind)
    return model


def functional():
    inputs = keras.Input((8,))
    outputs = inputs
    for layer in [L.GaussianNoise(0.1), *layers()]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


MODELS = {
    "sequential": lambda: keras.Sequential([keras.Input((8,)), *layers()]),
    "without Input": lambda: keras.Sequential(layers()),
    "subclassed": Subclassed,
    "functional": functional,
    "two optimizers": Twins,
    "float8": lambda: quantized("float8"),
    "int8": lambda: quantized("int8"),
}
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "sgd": lambda: keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    "decay": lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(1e-2, 20), clipnorm=1.0),
    "average": lambda: keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9),
    "accumulating": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=3),
}


class InPlace(keras.utils.PyDataset):
    """A data set that shuffles its own data at the end of an epoch."""

    def __init__(self, workers=1):
        super().__init__(workers=workers)
        self.x, self.y = x.copy(), y.copy()

    def __len__(self):
        return len(x) // BATCH

    def __getitem__(self, i):
        return self.x[i * BATCH : (i + 1) * BATCH], self.y[i * BATCH : (i + 1) * BATCH]

    def on_epoch_end(self):
        order = np.random.permutation(len(x))
        self.x[:], self.y[:] = self.x[order], self.y[order]


class Permuted(InPlace):
    """A data set with a new permutation for each epoch, drawn from a generator of its own."""

    def __init__(self, workers=1):
        super().__init__(workers=workers)
        self.numbers = np.random.default_rng(int(E["SEED"]) if E.get("SEED") else None)
        self.order = self.numbers.permutation(len(x))

    def __getitem__(self, i):
        chosen = self.order[i * BATCH : (i + 1) * BATCH]
        return x[chosen], y[chosen]

    def on_epoch_end(self):
        self.order = self.numbers.permutation(len(x))


class Still(InPlace):
    def on_epoch_end(self):
        pass


class Noisy(Still):
    """A data set that draws in ``__getitem__``, as augmentation does."""

    def __getitem__(self, i):
        inputs, targets = super().__getitem__(i)
        return inputs + np.random.normal(size=inputs.shape).astype("float32"), targets


def pipeline(*steps):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, y))
    for step in steps:
        if step == "shuffle":
            data = data.shuffle(160, seed=5)
        elif step == "unseeded":
            data = data.shuffle(160)
        elif step == "noise":
            data = data.map(lambda a, b: (a + tf.random.normal(tf.shape(a), seed=3), b))
        elif step == "stateless":
            data = data.map(lambda a, b: (a + tf.random.stateless_normal(tf.shape(a), seed=[1, 2]), b), num_parallel_calls=2)
        elif step == "batch":
            data = data.batch(BATCH)
        elif step == "file":
            data = data.cache(f"cache{os.getpid()}")
        elif step == "filter":
            data = data.filter(lambda a, b: a[0] > -10.0)
        else:
            data = getattr(data, step)()
    return data.prefetch(2)


def generator():
    numbers = np.random.default_rng(3)
    while True:
        chosen = numbers.integers(0, len(x), BATCH)
        yield x[chosen], y[chosen]


def loader(**options):
    import torch

    if E.get("SEED"):
        torch.manual_seed(int(E["SEED"]))  # Keras seeds torch for its own backend alone.
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    return torch.utils.data.DataLoader(data, batch_size=BATCH, **options)


DATA = {
    "arrays": lambda: ({"x": x, "y": y, "batch_size": BATCH}),
    "arrays in order": lambda: ({"x": x, "y": y, "batch_size": BATCH, "shuffle": False}),
    "batches of arrays": lambda: ({"x": x, "y": y, "batch_size": BATCH, "shuffle": "batch"}),
    "split": lambda: ({"x": x, "y": y, "batch_size": 24, "validation_split": 0.2}),
    "weights": lambda: ({"x": x, "y": y, "batch_size": BATCH, "sample_weight": np.linspace(0.5, 1.5, len(x))}),
    "tf.data": lambda: {"x": pipeline("batch")},
    "tf.data shuffled": lambda: {"x": pipeline("shuffle", "batch")},
    "tf.data unseeded": lambda: {"x": pipeline("unseeded", "batch")},
    "tf.data repeated": lambda: {"x": pipeline("shuffle", "batch", "repeat"), "steps_per_epoch": 7},
    "tf.data of unknown length": lambda: {"x": pipeline("shuffle", "filter", "batch")},
    "tf.data with noise": lambda: {"x": pipeline("noise", "batch")},
    "tf.data with stateless noise": lambda: {"x": pipeline("stateless", "shuffle", "batch")},
    "tf.data cached": lambda: {"x": pipeline("cache", "shuffle", "batch")},
    "tf.data cached in a file": lambda: {"x": pipeline("shuffle", "file", "batch")},
    "tf.data cached too late": lambda: {"x": pipeline("shuffle", "cache", "batch")},
    "PyDataset": lambda: {"x": Still()},
    "PyDataset in threads": lambda: {"x": Still(workers=2)},
    "PyDataset that shuffles in place": lambda: {"x": InPlace(workers=2)},
    "PyDataset with an order": lambda: {"x": Permuted()},
    "PyDataset with noise": lambda: {"x": Noisy()},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 5},
    "DataLoader": lambda: {"x": loader(shuffle=True)},
    "DataLoader in order": lambda: {"x": loader()},
}


class Counts(keras.callbacks.Callback):
    """A callback that keeps what it sees, and changes the rate by it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(logs["loss"])
        self.model.optimizer.learning_rate = 1e-2 / len(self.seen)


class Hides(keras.callbacks.Callback):
    """A callback that keeps its state where nobody can read it."""

    def __init__(self):
        super().__init__()
        self.rates = iter([1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 1e-5])

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = next(self.rates)


class Scripted(keras.callbacks.Callback):
    """A callback that gives a metric which gets better and worse again."""

    def on_epoch_end(self, epoch, logs=None):
        logs["x"] = [9.0, 8.0, 6.0, 6.5, 6.6, 6.7, 6.8, 6.9, 7.0][epoch]


K = keras.callbacks


class Told(K.ModelCheckpoint):
    """A kind of Keras' own callback that a script has made."""

    def _save_model(self, epoch, batch, logs):
        super()._save_model(epoch, batch, logs)
        logs["saved"] = self.best


class Eager(K.ReduceLROnPlateau):
    """A kind that turns Keras' comparison around after an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.monitor_op = keras.ops.greater


CALLBACKS = {
    "none": lambda: [],
    "plateau": lambda: [Scripted(), K.ReduceLROnPlateau("x", mode="min", patience=1, factor=0.5)],
    "early stopping": lambda: [Scripted(), K.EarlyStopping("x", mode="min", patience=2, restore_best_weights=True)],
    "best file": lambda: [Scripted(), K.ModelCheckpoint("best.weights.h5", monitor="x", mode="min", save_best_only=True, save_weights_only=True)],
    "csv": lambda: [K.CSVLogger("log.csv")],
    "schedule": lambda: [K.LearningRateScheduler(lambda epoch, rate: rate * 0.7)],
    "backup": lambda: [K.BackupAndRestore("backup", delete_checkpoint=False)],
    "counts": lambda: [Counts()],
    "several": lambda: [one for name in ("plateau", "best file", "csv", "counts") for one in CALLBACKS[name]()],
    "hides": lambda: [Hides()],
    "own kinds": lambda: [Scripted(), Told("best.weights.h5", monitor="x", mode="min", save_best_only=True, save_weights_only=True)],
    "turned around": lambda: [Scripted(), Eager("x", mode="min", patience=1, factor=0.5)],
}

fit = DATA[E.get("DATA") or "arrays"]()
if E.get("VALIDATION") and "validation_split" not in fit:
    fit["validation_data"] = (x[:40], y[:40])
options = {"steps_per_execution": int(E["AT_ONCE"])} if E.get("AT_ONCE") else {}
model = compiled(MODELS[E.get("MODEL") or "sequential"](), optimizer=OPTIMIZERS[E.get("OPTIMIZER") or "adam"](), **options)
others = CALLBACKS[E.get("CALLBACKS") or "none"]()
ours = trainstash.keras()
place = {"first": [ours, *others, Kill()], "last": [*others, Kill(), ours]}[E.get("PLACE") or "first"]
history = model.fit(**fit, epochs=EPOCHS, verbose=0, callbacks=place)
print("EPOCHS", len(history.history["loss"]), "STEPS", int(model.optimizer.iterations), "RATE", float(model.optimizer.learning_rate))
