"""Several trainings in one process: folds with a trainer each, or one trainer that trains twice."""

import os

import trainer as case

KILL_IN = int(os.environ.get("KILL_IN", -1))
fit = 0


def killing(trainer):
    """Lets the kill happen in one of them only."""
    global fit
    kill = case.KILL
    case.KILL = kill if fit == KILL_IN else -1
    fit += 1
    trainer.train()
    case.KILL = kill


if case.HOW["several"] == "folds":
    trainers = [case.made(output_dir=f"{case.OUT}-{fold}", seed=fold) for fold in range(3)]
    for one in trainers:
        killing(one)
    case.leave(*trainers)
else:
    trainer = case.made()
    killing(trainer)
    for parameter in list(trainer.model.parameters())[:3]:
        parameter.requires_grad_(False)
    trainer.optimizer = None
    killing(trainer)
    case.leave(trainer)
