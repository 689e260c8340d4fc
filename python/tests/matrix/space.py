"""The interface of a framework's space."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence

#: A combination: what was chosen of each dimension, such as ``{"optimizer": "AdamW", "workers": 2}``.
Choices = Dict[str, Any]
#: A policy without any checkpoint but those that a script takes itself, and the last.
NEVER: Dict[str, Any] = {"everySeconds": 0, "everySteps": None, "everyEpochs": None, "onBest": False}


class Kill(NamedTuple):
    """An end of a launch.

    ``kind`` is one of ``hooks.KINDS``, ``at`` the step (or the number of the call) at which it happens, ``policy`` when
    checkpoints are taken in that launch.
    """

    kind: str
    at: int
    policy: Mapping[str, Any]

    def __str__(self) -> str:
        policy = self.policy
        steps, epochs = policy["everySteps"], policy["everyEpochs"]
        each = [f"each {steps} steps" if steps else "", "each epoch" if epochs else "", "best" if policy["onBest"] else ""]
        return f"{self.kind} {self.at} ({', '.join(filter(None, each)) or 'no checkpoints of ours'})"


class Course(NamedTuple):
    """The known facts about an undisturbed run: its steps, and the first step of each epoch but the first."""

    steps: int
    epochs: Sequence[int]

    @property
    def last_of_epochs(self) -> List[int]:
        return [first - 1 for first in self.epochs]


class Ended(NamedTuple):
    """The content of a session folder after its process has ended.

    ``state`` is the newest checkpoint's, flat: a key for each tensor and value. ``metrics`` are those told for each step, the
    newest of each. ``grade`` and ``missing`` belong to the newest checkpoint; None where there is none.
    """

    checkpoint: Optional[Path]
    step: int
    grade: Optional[str]
    missing: Sequence[str]


class Space(Protocol):
    """A framework's trainings. All methods but ``draw`` and ``script`` have a default in ``DefaultSpace``."""

    #: The value of ``--framework``.
    name: str
    #: Modules that are imported once, in the process that forks for each launch.
    preload: Sequence[str]

    def draw(self, dice: random.Random) -> Choices:
        """Draws a combination. It must depend on ``dice`` alone."""

    def script(self, choices: Choices) -> str:
        """Writes the text of the training, as a user would. It logs a metric with each optimizer step, and calls none of the
        matrix's code."""

    def env(self, choices: Choices) -> Mapping[str, str]:
        """Returns variables of the environment of each launch."""

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        """Returns the metric that decides which checkpoint is the best, such as ``{"metric": "val_loss", "mode": "min"}``."""

    def kills(self, choices: Choices) -> Sequence[str]:
        """Returns the kinds of ``hooks.KINDS`` that make sense for this combination."""

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        """Reads a checkpoint's folder: a flat dict of everything that must come out the same."""


class DefaultSpace:
    """The answers that most frameworks have in common."""

    def env(self, choices: Choices) -> Mapping[str, str]:
        return {}

    def monitor(self, choices: Choices) -> Optional[Mapping[str, str]]:
        return None

    def kills(self, choices: Choices) -> Sequence[str]:
        from .hooks import KINDS

        return KINDS

    def state(self, checkpoint: Path) -> Dict[str, Any]:
        from .states import flat_state

        return flat_state(checkpoint / "state.pt")
