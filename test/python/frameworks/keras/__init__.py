"""keras.Model.fit, as far as a callback sees it (docs: Callback; source: trainer.py `fit`, BackupAndRestore): it begins at
`_initial_epoch`, and always with an epoch's first batch."""
import types

import numpy as np


class _Callback:
    def set_model(self, model): self.model = model
    def set_params(self, params): self.params = params
    def on_train_begin(self, logs=None): ...
    def on_epoch_begin(self, epoch, logs=None): ...
    def on_train_batch_end(self, batch, logs=None): ...
    def on_epoch_end(self, epoch, logs=None): ...
    def on_train_end(self, logs=None): ...


callbacks = types.SimpleNamespace(Callback=_Callback)


class Variable:
    def __init__(self, value): self.value = np.array(value, dtype="float32")
    @property
    def shape(self): return self.value.shape
    def numpy(self): return self.value.copy()
    def assign(self, value): self.value[...] = value


class Momentum:
    built = False

    def build(self, variables):
        self.built = True
        self.variables = [Variable(0.0), *(Variable(np.zeros(v.shape)) for v in variables)]

    def apply(self, variables, gradients):
        if not self.built: self.build(variables)
        self.variables[0].value += 1
        for v, m, g in zip(variables, self.variables[1:], gradients):
            m.value *= np.float32(0.9); m.value += g; v.value -= np.float32(0.01) * m.value


class Model:
    def __init__(self):
        self.variables = [Variable(np.ones((4, 4))), Variable(np.zeros(4))]
        self.trainable_variables, self.optimizer, self._initial_epoch = self.variables, Momentum(), None

    def fit(self, x, epochs, callbacks):
        for callback in callbacks:
            callback.set_model(self); callback.set_params({"epochs": epochs, "steps": len(x)})
            callback.on_train_begin()
        for epoch in range(self._initial_epoch or 0, epochs):
            for callback in callbacks: callback.on_epoch_begin(epoch)
            for batch, values in enumerate(x):
                noisy = values + np.random.normal(size=values.shape).astype("float32")
                w, b = (v.value for v in self.variables)
                out = noisy @ w + b
                self.optimizer.apply(self.variables, [noisy.T @ out / len(out), out.mean(0)])
                for callback in callbacks: callback.on_train_batch_end(batch, {"loss": float((out**2).mean())})
            for callback in callbacks: callback.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 1.0 / (epoch + 1)})
        for callback in callbacks: callback.on_train_end()
