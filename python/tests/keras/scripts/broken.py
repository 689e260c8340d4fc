"""The same training with a package that has a fault in the part that the environment names."""

import os
import runpy
from pathlib import Path

import trainstash.keras_callback  # noqa: F401
from trainstash import keras_data, keras_objects, keras_pipelines, keras_random


def broken(*arguments, **words):
    raise RuntimeError("a fault of ours")


module, name = {
    "data": (keras_pipelines, "source_of"),
    "callbacks": (keras_objects, "attributes_of"),
    "random": (keras_random, "capture"),
    "place": (keras_data.Feed, "state"),
    "step": (keras_pipelines, "hidden_draws"),
}[os.environ["PART"]]
setattr(module, name, broken)
runpy.run_path(str(Path(__file__).with_name("space.py")), run_name="__main__")
