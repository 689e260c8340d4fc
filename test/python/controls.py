"""Takes one rule of a resume away (CONTROL), then runs the script that it is given."""
import os, runpy, sys

import torch.utils.data  # noqa: F401
from trainstash import data, generators, rng, run, tracked

control = os.environ.get("CONTROL")
if control == "rng":
    rng.restore = lambda state: []
elif control == "place":
    data.Batches.restore = lambda self, state, active: None
elif control == "early":
    run.Run.at_place = lambda self: None
    original = data.Batches._start
    rng.set_cpu_state, kept = (lambda state: None), rng.set_cpu_state
    rng.Scope.__exit__ = lambda self, *_: kept(self._before)
elif control == "batches":
    data.SeededDataset.__getitem__ = lambda self, key: self.trainstash_dataset[key.key if type(key) is data.Seeded else key]
elif control == "cast":
    tracked.load_optimizer = lambda optimizer, saved, order: optimizer.load_state_dict(saved)
elif control == "slots":
    tracked.load_optimizer = lambda optimizer, saved, order: None
elif control == "generator":
    set_state = generators.set_state
    generators.set_state = lambda value, saved: None if hasattr(value, "bit_generator") else set_state(value, saved)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
