"""Trainings of each kind, killed at a place that matters and resumed: all bits are equal, and the grade says complete."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
from lightning.pytorch import __version__ as version
from pairs import each_steps
from sampling import mostly_full

from trainings import Case, differences

EVERY = each_steps(1)
#: A training and the steps before which it is killed. An epoch has 16 steps.
KINDS: Dict[str, Any] = {
    "last batch of an epoch, early stopping on what follows": (dict(callbacks=["early", "checkpoint"]), [18]),
    "validation due at the step": (dict(trainer={"val_check_interval": 5}, random_validation=True, callbacks=["early"], patience=9), [21]),
    "loaders made anew each epoch, plateau by epoch": (
        dict(script="own loaders", trainer={"reload_dataloaders_every_n_epochs": 1}, schedule="plateau", known_losses=True, epochs=5),
        [55],
    ),
    "manual optimization, loaders by name": (dict(manual=True, data="dict"), [42]),
    "random numbers while reading, a callback without a state_dict": (dict(data="noise", callbacks=["queue", "counter"]), [37]),
    "folds": (dict(script="folds"), ["2:9"]),
    "phases, killed in the first": (dict(script="phases"), ["1:5"]),
}
#: More of them, for the full run.
MORE: Dict[str, Any] = {
    "right after the last batch of an epoch": (dict(callbacks=["early"]), [16]),
    "plateau by epoch": (dict(schedule="plateau", known_losses=True, epochs=6), [55]),
    "plateau by step": (dict(schedule="plateau_step"), [21]),
    "plateau on the mean of the epoch": (dict(schedule="plateau", monitor="train_loss_epoch", patience=0, validation=False), [24]),
    "loaders made anew each epoch": (dict(script="own loaders", trainer={"reload_dataloaders_every_n_epochs": 1}), [21]),
    "accumulated gradients": (dict(trainer={"accumulate_grad_batches": 3}, schedule="cosine"), [8]),
    "loaders by name": (dict(data="dict"), [21]),
    "loaders side by side, the shorter one ends": (dict(data="max_size"), [28]),
    "loaders of different lengths, the shorter one decides": (dict(data="min_size"), [8]),
    "workers that stay": (dict(data="noise", workers=2, persistent=True), [21]),
    "a generator of the loader's own": (dict(data="generator"), [37]),
    "steps, not epochs, killed twice": (dict(trainer={"max_steps": 40}, epochs=-1), [32, 35]),
    "doubles": (dict(trainer={"precision": "64-true"}), [21]),
    "positional arguments": (dict(script="positional"), [21]),
    "a data module": (dict(script="data module"), [21]),
    "folds, killed at a fit's first step": (dict(script="folds"), ["3:0"]),
    "folds, killed twice": (dict(script="folds"), ["2:9", "3:20"]),
    "phases, killed in the second": (dict(script="phases"), ["2:21"]),
    "a learning rate that is looked for": (dict(script="tune"), ["2:21"]),
}
ALL = {**KINDS, **MORE}


@pytest.mark.parametrize("name", mostly_full(list(ALL), list(KINDS), 4))
def test_a_killed_training_goes_on_bit_for_bit(launcher, folder, name):
    options, kills = ALL[name]
    whole, _, resumed = Case(launcher, folder, EVERY, **options).killed(*kills)
    found: List[str] = differences(whole, resumed)
    assert found == [], f"{version}: {found[:20]}"
    for launch in (whole, resumed):
        assert launch.newest().grade == "complete", launch.newest().missing
