"""A loop of the script's own around a Keras model, on the backend that is in use."""

import os

import keras
import numpy as np
import trainstash
from common import layers, x, y

keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((8,)), *layers()])
optimizer = keras.optimizers.Adam(1e-2)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
backend = keras.backend.backend()


def tape(inputs, targets):
    import tensorflow as tf

    with tf.GradientTape() as recorded:
        loss = loss_of(targets, model(inputs, training=True))
    optimizer.apply(recorded.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


def autograd(inputs, targets):
    import torch

    model.zero_grad()
    loss = loss_of(targets, model(torch.as_tensor(inputs), training=True))
    loss.backward()
    with torch.no_grad():
        optimizer.apply([variable.value.grad for variable in model.trainable_variables], model.trainable_variables)
    return loss


def stateless(inputs, targets):
    import jax

    def compute(trainable, others):
        outputs, others = model.stateless_call(trainable, others, inputs, training=True)
        return loss_of(targets, outputs), others

    trainable, others = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    (loss, others), gradients = jax.value_and_grad(compute, has_aux=True)(trainable, others)
    trainable, slots = optimizer.stateless_apply([v.value for v in optimizer.variables], gradients, trainable)
    if os.environ.get("STALE"):
        return loss
    for variables, values in ((model.trainable_variables, trainable), (model.non_trainable_variables, others), (optimizer.variables, slots)):
        for variable, value in zip(variables, values):
            variable.assign(value)
    return loss


def batches():
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(160, seed=2).batch(32)
    if backend == "torch":
        import torch

        data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
        return torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    return [(x[i : i + 32], y[i : i + 32]) for i in range(0, 160, 32)]


data = batches()
order = np.random.default_rng(5)
run = trainstash.init(model=model, optimizer=optimizer, order=order)
kept = run.state(total=0.0)
train = {"tensorflow": tape, "torch": autograd, "jax": stateless}[backend]
for epoch in run.epochs(4):
    drawn = order.random() + np.random.random()
    for inputs, targets in run.batches(data):
        loss = train(inputs, targets)
        kept.total += (float(loss) + np.random.random()) * drawn
        run.step(loss=float(loss))
    run.log(total=kept.total)
print("TOTAL", kept.total)
