"""Keras' ``fit``: models × data × callbacks × optimizers × dtypes, on the backend that ``KERAS_BACKEND`` names."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from ..space import Choices, DefaultSpace

_SCRIPTS = Path(__file__).parents[2] / "keras" / "scripts"
# The script reads them from its environment.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

#: Every dimension that is drawn by itself, with what it may be. A value that stands twice is drawn twice as often.
DIMENSIONS: Dict[str, Sequence[Any]] = {
    "MODEL": ["sequential", "sequential", "without Input", "subclassed", "functional", "two optimizers"],
    "DATA": [
        "arrays", "arrays", "arrays", "arrays in order", "batches of arrays", "split", "weights", "tf.data", "tf.data shuffled",
        "tf.data shuffled", "tf.data repeated", "tf.data of unknown length", "tf.data with noise", "tf.data with stateless noise",
        "tf.data cached", "tf.data cached too late", "PyDataset", "PyDataset in threads", "PyDataset that shuffles in place",
        "PyDataset with an order", "PyDataset with noise", "generator", "DataLoader", "DataLoader in order",
    ],
    "CALLBACKS": [
        "none", "none", "none", "plateau", "early stopping", "best file", "csv", "schedule", "backup", "counts", "several", "hides",
    ],
    "OPTIMIZER": ["adam", "adam", "sgd", "decay", "average", "accumulating"],
    "POLICY": ["", "", "", "mixed_float16", "bfloat16"],
    "PLACE": ["first", "last"],
    "VALIDATION": ["", "1"],
    "AT_ONCE": ["", "", "", "2"],
}  # fmt: skip


class KerasSpace(DefaultSpace):
    name = "keras"
    preload = ("keras", "trainstash.keras_callback")

    def draw(self, dice: random.Random) -> Choices:
        choices = {name: dice.choice(values) for name, values in DIMENSIONS.items()}
        if choices["OPTIMIZER"] == "accumulating":
            choices["POLICY"] = ""  # Keras refuses to scale losses of accumulated gradients.
        if choices["OPTIMIZER"] == "decay" and choices["CALLBACKS"] in ("plateau", "schedule", "counts", "several", "hides"):
            choices["OPTIMIZER"] = "adam"  # Keras refuses to set a rate that a schedule gives.
        if choices["CALLBACKS"] == "backup" and choices["MODEL"] in ("without Input", "subclassed", "two optimizers"):
            choices["MODEL"] = "sequential"  # BackupAndRestore wants a model that is built before fit.
        if os.environ.get("KERAS_BACKEND") == "torch":
            choices["AT_ONCE"] = ""  # Keras refuses it there.
        return choices

    def script(self, choices: Choices) -> str:
        common, own = (_SCRIPTS / "common.py").read_text(), (_SCRIPTS / "space.py").read_text()
        return common + own.replace("from common import Kill, L, compiled, layers, x, y\n", "")

    def env(self, choices: Choices) -> Mapping[str, str]:
        return {"SEED": "1", **{name: str(value) for name, value in choices.items()}}

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        return {"metric": "val_loss", "mode": "min"} if choices["VALIDATION"] else None

    def kills(self, choices: Choices) -> Sequence[str]:
        # The others are of torch, or of the file that its checkpoints are.
        return ("saved", "step", "paused", "asked")

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        import json

        from trainstash import keras_arrays

        arrays, notes = keras_arrays.read(str(checkpoint / "state.safetensors"))
        facts = json.loads(notes["trainstash"])
        return {**arrays, **{name: json.dumps(value) for name, value in facts.items()}}


SPACE = KerasSpace()
