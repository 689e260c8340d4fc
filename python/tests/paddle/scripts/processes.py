"""A `Model.fit` in each of the processes that `paddle.distributed.launch` starts; each writes down what it came to."""

import hashlib
import os
import signal
import time
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import trainstash  # noqa: E402
from paddle import nn  # noqa: E402

FOLDER = os.environ["TRAINSTASH_SESSION"]
paddle.seed(1)
np.random.seed(1)
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")[:, None]


class Data(paddle.io.Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, i):
        return X[i] + np.random.normal(size=8).astype("float32") * 0.1, Y[i]


class Ends(paddle.callbacks.Callback):
    steps = 0

    def on_train_batch_end(self, step, logs=None):
        Ends.steps += 1
        if Ends.steps == int(os.environ.get("KILL", "-1")) and rank == int(os.environ.get("KILL_RANK", "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        if Ends.steps == int(os.environ.get("PAUSE", "-1")) and rank == 0:
            with open(os.path.join(FOLDER, "control"), "w") as file:
                file.write('{"seq": 1, "pause": true}')
            time.sleep(0.2)


net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.Linear(8, 2))
model = paddle.Model(net)
model.prepare(paddle.optimizer.Adam(0.01, parameters=net.parameters()), nn.CrossEntropyLoss())
rank = paddle.distributed.get_rank()
model.fit(Data(), epochs=4, batch_size=4, verbose=0, callbacks=[trainstash.paddle(), Ends()])
digest = hashlib.sha256()
for value in net.state_dict().values():
    digest.update(value.numpy().tobytes())
with open(os.path.join(FOLDER, f"final.{rank}"), "w") as file:
    file.write(f"{digest.hexdigest()[:12]} {Ends.steps} {paddle.rand([1]).item()} {np.random.rand()}")
