"""Several processes of one training. Rank 0 decides; the others hear of it at steps that it has announced before."""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import Any, Iterable, List, Optional, Tuple

from .paddle_random import paddle_module

# Decisions are heard about this often; a broadcast costs a tenth of a millisecond.
_DECIDE_SECONDS = 0.5
# Steps may become slow at once, when data or an evaluation is slow: ranks that meet after a thousand of them hear a signal too late.
_MAX_STEPS_BETWEEN = 10


class Group:
    """Alone when torch.distributed is not set up: then nothing is sent, and every step may decide."""

    def __init__(self, alone: bool = False) -> None:
        self._distributed: Any = None if alone else _distributed()
        self.rank = self._distributed.get_rank() if self._distributed else _rank_before_set_up() if not alone else 0
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

    def decide(self, step: int, decision: int, signal: int = 0, not_after: Optional[int] = None) -> Tuple[int, int]:
        """Gives all ranks the same two numbers. Only at steps where ``may_decide``.

        Args:
            step: Steps done.
            decision: That of rank 0 counts.
            signal: The signal that this rank was sent: it may be the only one; 0: none.
            not_after: A step at which something is known to be due.

        Returns:
            The decision of rank 0, and the largest number of a signal.
        """
        if not self.several:
            return decision, signal
        now = time.monotonic()
        pace = (now - self._decided_at) / max(1, step - self._steps)
        self._decided_at, self._steps = now, step
        ahead = min(_MAX_STEPS_BETWEEN, max(1, int(_DECIDE_SECONDS / pace) if pace > 0 else _MAX_STEPS_BETWEEN))
        following = step + ahead if not_after is None else max(step + 1, min(step + ahead, not_after))
        # The largest of all: one message does for both, since the other ranks decide nothing.
        words = self._words([decision, following, signal] if self.rank == 0 else [0, 0, signal])
        self._distributed.all_reduce(words, self._distributed.ReduceOp.MAX, group=self._group)
        self._next = int(words[1])
        return int(words[0]), int(words[2])

    def _words(self, numbers: List[int]) -> Any:
        if isinstance(self._distributed, PaddleDistributed):
            return self._distributed.words(numbers)
        import torch

        return torch.tensor(numbers, dtype=torch.int64)

    def start_at(self, step: int) -> None:
        """Makes all ranks meet at the next step, after a restore."""
        self._next, self._steps = step + 1, step

    def gather(self, value: Any) -> List[Any]:
        """Collects one value of each rank, on all of them."""
        if not self.several:
            return [value]
        values: List[Any] = [None] * self.world
        self._distributed.all_gather_object(values, value, group=self._group)
        return values

    def share(self, value: Any) -> Any:
        """Gives all ranks the value of rank 0."""
        if not self.several:
            return value
        values = [value]
        self._distributed.broadcast_object_list(values, 0, group=self._group)
        return values[0]


class PaddleDistributed:
    """The part of ``torch.distributed`` that ``Group`` uses, done by Paddle's."""

    def __init__(self, paddle: Any) -> None:
        self._paddle = paddle

    def get_rank(self) -> int:
        return int(self._paddle.distributed.get_rank())

    def get_world_size(self) -> int:
        return int(self._paddle.distributed.get_world_size())

    def get_backend(self) -> str:
        """Always "gloo": Paddle needs no second group, whose making would be one more thing to wait for."""
        return "gloo"

    def words(self, numbers: List[int]) -> Any:
        return self._paddle.to_tensor(numbers, dtype="int64")

    @property
    def ReduceOp(self) -> Any:
        return self._paddle.distributed.ReduceOp

    def all_reduce(self, words: Any, op: Any, group: Any = None) -> None:
        self._paddle.distributed.all_reduce(words, op)

    def all_gather_object(self, values: List[Any], value: Any, group: Any = None) -> None:
        found: List[Any] = []
        self._paddle.distributed.all_gather_object(found, value)
        values[:] = found

    def broadcast_object_list(self, values: List[Any], source: int, group: Any = None) -> None:
        self._paddle.distributed.broadcast_object_list(values, src=source)


def _distributed() -> Any:
    return _of_torch() or _of_paddle()


def _of_paddle() -> Optional[PaddleDistributed]:
    paddle = paddle_module()
    distributed = getattr(paddle, "distributed", None)
    if distributed is None or not distributed.is_initialized() or distributed.get_world_size() < 2:
        return None
    return PaddleDistributed(paddle)


def _of_torch() -> Any:
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed


def order_of_sums() -> List[Tuple[str, str, str]]:
    """Names what DDP does not do again after a resume, as a kind, a name and a reason.

    DDP forms its buckets anew after the first step of each process, and from three ranks on the place of a gradient in its bucket
    decides the order in which it is added up. It does not do so where it looks for unused parameters.
    """
    torch, distributed = sys.modules.get("torch"), _of_torch()
    if torch is None or distributed is None or distributed.get_world_size() < 3:
        return []
    kind = torch.nn.parallel.DistributedDataParallel
    # A script may give `init` the model inside, and a framework wraps it by itself. Proxies may lie about their class: `type`.
    if all(one.find_unused_parameters for one in gc.get_objects() if issubclass(type(one), kind)):
        return []
    why = "from three processes on DDP sums in another order after its first step; find_unused_parameters=True keeps one order"
    return [("other", "the order in which gradients are summed", why)]


def launched_rank() -> Optional[int]:
    """Reads the rank that ``torchrun`` and ``paddle.distributed.launch`` tell a process before the group is set up."""
    for name, world in (("RANK", "WORLD_SIZE"), ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM")):
        rank = os.environ.get(name)
        if rank is not None and rank.isdigit() and world in os.environ:
            return int(rank)
    return None


def _rank_before_set_up() -> int:
    """Reads the rank that Paddle's launcher has given: only one of its processes records, also where none of them talks to another."""
    rank = os.environ.get("PADDLE_TRAINER_ID", "")
    return int(rank) if rank.isdigit() and os.environ.get("PADDLE_TRAINERS_NUM", "1") != "1" else 0


def is_on_device(objects: Iterable[Any]) -> bool:
    """Tells whether a model among these objects has a parameter that is not in the processor's memory."""
    models = [value for value in objects if hasattr(value, "parameters")]
    return any(one.device.type != "cpu" for model in models for one in model.parameters())
