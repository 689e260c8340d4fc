"""Removes one rule of a resume (CONTROL), then runs the given script."""
import os, runpy, sys

import torch.utils.data  # noqa: F401
from trainstash import data, engine, generators, loaders, rng, tracked

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
    tracked.load_optimizer = lambda optimizer, saved, order: optimizer.load_state_dict(saved)
elif control == "slots":
    tracked.load_optimizer = lambda optimizer, saved, order: None
elif control == "generator":
    set_state = generators.set_state
    generators.set_state = lambda value, saved: None if hasattr(value, "bit_generator") else set_state(value, saved)
    capture = rng.capture
    rng.capture = lambda generators=None: capture()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
