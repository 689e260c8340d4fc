"""Random numbers of GPUs that are there in one launch and not in the other. No GPU is used: torch's functions are replaced."""

from __future__ import annotations

from typing import Any, List, Tuple

import pytest
import torch
from trainstash import rng

pytestmark = pytest.mark.oldest


class Devices:
    """A torch that reports a given number of CUDA devices."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.set: List[Tuple[int, Any]] = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.full((4,), i, dtype=torch.uint8) for i in range(count)])
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: self.set.append((device, state.tolist())))


@pytest.mark.parametrize("then", [0, 1, 2])
@pytest.mark.parametrize("now", [0, 1, 2])
def test_what_is_there_is_put_back_and_what_is_missing_is_named(then: int, now: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as first:
        Devices(first, then)
        state = rng.capture()
    devices = Devices(monkeypatch, now)
    failed = rng.restore(state)
    assert devices.set == [(i, [i] * 4) for i in range(min(then, now))]
    if then == now:
        assert failed == []
    elif then == 0:
        assert failed == [("CUDA", "the checkpoint was taken without a GPU")]
    else:
        names = {0: "no device", 1: "1 device", 2: "2 devices"}
        assert failed == [("CUDA", f"the checkpoint has those of {names[then]}, and there is {names[now]} now")]


def test_tensors_of_a_checkpoint_go_where_the_model_is() -> None:
    # The one other device that every torch has: it has no numbers, but it is another one.
    from trainstash.loading import check_optimizer, load_optimizer

    source, model = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, device="meta")
    first, second = (torch.optim.Adam(one.parameters(), foreach=False) for one in (source, model))
    source(torch.ones(1, 2)).sum().backward()
    first.step()
    saved = first.state_dict()
    names = ["weight", "bias"]
    load_optimizer(second, saved, check_optimizer("optimizer", second, saved, names, names))
    assert {str(slot.device) for state in second.state.values() for name, slot in state.items() if name != "step"} == {"meta"}
