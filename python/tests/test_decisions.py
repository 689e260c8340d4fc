"""Ranks meet after few steps, so that a signal is heard within the grace also when steps become slow at once."""

from typing import Any, List

import pytest

from trainstash import distributed


class _Together:
    """Ranks that all say the same."""

    class ReduceOp:
        MAX = None

    def all_reduce(self, words: List[int], op: Any, group: Any = None) -> None:
        pass


def test_ranks_meet_again_after_few_steps_however_fast_these_were(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(distributed.time, "monotonic", lambda: clock[0])
    group: Any = distributed.Group(alone=True)
    group.world, group._distributed, group._words = 2, _Together(), list
    met: List[int] = []
    for step in range(1, 300):
        clock[0] += 0.001
        if group.may_decide(step):
            group.decide(step, 0)
            met.append(step)
    assert max(later - earlier for earlier, later in zip(met, met[1:])) == 10
