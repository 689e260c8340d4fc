"""Several fits in one process: with one callback or one for each, of one model or of several."""

import os

import keras
import trainstash
from common import Kill, compiled, small, x, y

KIND = os.environ["KIND"]
keras.utils.set_random_seed(1)
shared = trainstash.keras()


def ours():
    return shared if KIND == "one callback" else trainstash.keras()


def fit(model, epochs, **options):
    history = model.fit(x, y, epochs=epochs, batch_size=32, verbose=0, callbacks=[ours(), Kill()], **options)
    print("FIT", [round(loss, 6) for loss in history.history["loss"]], round(model.evaluate(x, y, verbose=0)[0], 6), flush=True)


if KIND == "folds":
    for fold in range(3):
        fit(small(), 2)
else:
    model = small()
    fit(model, 2)
    if KIND == "freezing":
        model.layers[0].trainable = False
        compiled(model, optimizer=keras.optimizers.SGD(1e-3))
    fit(model, 3)
