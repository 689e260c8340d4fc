"""Takes one rule of a resume away (CONTROL), then runs the script that it is given."""
import os, runpy, sys

import torch.utils.data  # noqa: F401
from trainstash import data, engine, loaders, rng, tracked

control = os.environ.get("CONTROL")
if control == "rng":
    rng.restore = lambda state, generators=None: []
elif control == "place":
    data.Batches.restore = lambda self, state, active: None
elif control == "early":
    engine.Engine.at_place = lambda self: None
    data._put_back = lambda generators, states: None
elif control == "batches":
    loaders.SeededDataset._seed = lambda self, seed: None
elif control == "cast":
    load = tracked._load_optimizer

    def cast(optimizer, saved, order):
        optimizer.load_state_dict(saved)

    tracked._load_optimizer = cast
elif control == "slots":
    tracked._load_optimizer = lambda optimizer, saved, order: None
elif control == "generator":
    load_other = tracked._load
    tracked._load = lambda value, saved: None if hasattr(value, "bit_generator") else load_other(value, saved)
    capture = rng.capture
    rng.capture = lambda generators=None: capture()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
