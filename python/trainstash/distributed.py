"""Several processes of one training. Rank 0 decides; the others hear of it at steps that it has announced before."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, List, Optional

# Decisions are heard about this often; a broadcast costs a tenth of a millisecond.
_DECIDE_SECONDS = 0.5
_MAX_STEPS_BETWEEN = 1_000


class Group:
    """Alone when torch.distributed is not set up: then nothing is sent, and every step may decide."""

    def __init__(self, alone: bool = False) -> None:
        self._distributed: Any = None if alone else _distributed()
        self.rank = self._distributed.get_rank() if self._distributed else 0
        self.world = self._distributed.get_world_size() if self._distributed else 1
        self._group: Any = None
        if self._distributed and self._distributed.get_backend() != "gloo":
            # Plain numbers go through the CPU: on the GPU they would wait for the computation.
            self._group = self._distributed.new_group(backend="gloo")
        #: The group for what the CPU sends; None: the default one.
        self.plain = self._group
        self.is_set_up = self._distributed is not None
        self._next = 1
        self._decided_at = time.monotonic()
        self._steps = 0

    def is_current(self) -> bool:
        """Tells whether torch.distributed is set up, or not, as it was when this was made."""
        return self.is_set_up == (_distributed() is not None)

    @property
    def several(self) -> bool:
        return bool(self.world > 1)

    def may_decide(self, step: int) -> bool:
        return not self.several or bool(step >= self._next)

    def decide(self, step: int, decision: int, not_after: Optional[int] = None) -> int:
        """The same number on all ranks: that of rank 0. Only at steps where ``may_decide``. ``not_after``: a step at which
        something is known to be due."""
        if not self.several:
            return decision
        import torch

        now = time.monotonic()
        pace = (now - self._decided_at) / max(1, step - self._steps)
        self._decided_at, self._steps = now, step
        ahead = min(_MAX_STEPS_BETWEEN, max(1, int(_DECIDE_SECONDS / pace) if pace > 0 else _MAX_STEPS_BETWEEN))
        following = step + ahead if not_after is None else max(step + 1, min(step + ahead, not_after))
        words = torch.tensor([decision, following], dtype=torch.int64)
        self._distributed.broadcast(words, 0, group=self._group)
        self._next = int(words[1])
        return int(words[0])

    def start_at(self, step: int) -> None:
        """After a restore: all ranks meet at the next step."""
        self._next, self._steps = step + 1, step

    def gather(self, value: Any) -> List[Any]:
        """One of each rank, on all of them."""
        if not self.several:
            return [value]
        values: List[Any] = [None] * self.world
        self._distributed.all_gather_object(values, value, group=self._group)
        return values

    def share(self, value: Any) -> Any:
        """Rank 0's, on all of them."""
        if not self.several:
            return value
        values = [value]
        self._distributed.broadcast_object_list(values, 0, group=self._group)
        return values[0]


def _distributed() -> Any:
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed


def launched_rank() -> Optional[int]:
    """What ``torchrun`` says before the group is set up."""
    rank = os.environ.get("RANK")
    return int(rank) if rank is not None and rank.isdigit() and "WORLD_SIZE" in os.environ else None
