"""PyTorch's own loops: models × optimizers × schedules × loaders × shapes of the loop × accumulation × scaler."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from ..hooks import KINDS
from ..space import Choices, DefaultSpace
from . import torch_loops, torch_parts

#: Every dimension that is drawn by itself, with what it may be. A value that stands twice is drawn twice as often.
DIMENSIONS: Dict[str, Sequence[Any]] = {
    "model": list(torch_parts.MODELS),
    "optimizer": list(torch_parts.OPTIMIZERS),
    "schedule": list(torch_parts.SCHEDULES),
    "loader": list(torch_parts.LOADERS),
    "workers": [0, 0, 0, 0, 1, 2],
    "shape": list(torch_loops.SHAPES),
    "accumulation": [1, 1, 1, 2, 4],
    "scaler": [False, False, True],
    "average": [False, False, False, True],
    "validation": ["none", "end", "end", "draws", "between"],
    "variables": ["none"] * 4 + ["state"] * 3 + ["kept patience"] * 2 + ["local", "plain", "patience"],
    "clip": [False, False, True],
    "own checkpoint": ["none", "none", "none", "step", "epoch"],
}


class TorchSpace(DefaultSpace):
    name = "torch"
    preload = ("numpy", "torch", "torch.utils.data", "torchdata.stateful_dataloader")

    def draw(self, dice: random.Random) -> Choices:
        choices = {name: dice.choice(values) for name, values in DIMENSIONS.items()}
        return torch_loops.made_possible(choices)

    def script(self, choices: Choices) -> str:
        return torch_parts.preamble(choices) + torch_loops.loop(choices)

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        return {"metric": "val_loss", "mode": "min"} if choices["validation"] == "end" else None

    def kills(self, choices: Choices) -> Sequence[str]:
        without = [] if choices["validation"] != "none" else ["validation"]
        if choices["optimizer"] == "LBFGS":
            without += ["interrupted", "failed"]  # Its backward passes are many to a step.
        return [kind for kind in KINDS if kind not in without]

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        return super().state(checkpoint)


SPACE = TorchSpace()
