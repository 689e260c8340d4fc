"""A new learning rate reaches every schedule, or is refused in a sentence and changes nothing."""

from __future__ import annotations

import itertools
import warnings
from typing import Any, Callable, Dict, List

import pytest
import torch
from trainstash.tracked import Tracked

pytestmark = pytest.mark.oldest

L: Any = torch.optim.lr_scheduler
S: Any = torch.optim.swa_utils

SCHEDULES: Dict[str, Callable[[Any], Any]] = {
    "none": lambda o: None,
    "step": lambda o: L.StepLR(o, 4, 0.5),
    "several steps": lambda o: L.MultiStepLR(o, [3, 9], 0.5),
    "constant": lambda o: L.ConstantLR(o, 0.3, 8),
    "linear": lambda o: L.LinearLR(o, 0.1, total_iters=12),
    "exponential": lambda o: L.ExponentialLR(o, 0.9),
    "polynomial": lambda o: L.PolynomialLR(o, 18, 2.0),
    "lambda": lambda o: L.LambdaLR(o, lambda t: 0.98**t),
    "multiplicative": lambda o: L.MultiplicativeLR(o, lambda t: 0.97),
    "cosine": lambda o: L.CosineAnnealingLR(o, 15, eta_min=0.01),
    "warm restarts": lambda o: L.CosineAnnealingWarmRestarts(o, 6, eta_min=0.001),
    "one cycle": lambda o: L.OneCycleLR(o, 0.1, total_steps=40),
    "cyclic": lambda o: L.CyclicLR(o, 0.01, 0.1, step_size_up=6, cycle_momentum=False),
    "cyclic, triangular2": lambda o: L.CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="triangular2"),
    "cyclic by a function": lambda o: L.CyclicLR(o, 0.01, 0.1, step_size_up=4, scale_fn=lambda x: 0.9**x),
    "averaging": lambda o: S.SWALR(o, 0.05, anneal_epochs=20),
    "plateau": lambda o: L.ReduceLROnPlateau(o, patience=2, min_lr=0.002),
    "in sequence": lambda o: L.SequentialLR(o, [L.LinearLR(o, 0.1, total_iters=10), L.CosineAnnealingLR(o, 30)], [10]),
    "chained": lambda o: L.ChainedScheduler([L.LambdaLR(o, lambda t: 0.98**t), L.ExponentialLR(o, 0.95)]),
    "sequences chained": lambda o: L.ChainedScheduler(
        [L.SequentialLR(o, [L.ConstantLR(o, 0.5, 4), L.ExponentialLR(o, 0.9)], [5]), L.StepLR(o, 3)]
    ),
}


def make(name: str, lr: Any, groups: int = 1) -> Any:
    # Schedules write into groups; some torch versions share a tensor between them.
    layers = [torch.nn.Linear(2, 2) for _ in range(groups)]
    rate = [lr.clone() if hasattr(lr, "clone") else lr for _ in layers]
    given = [{"params": layer.parameters(), "lr": rate[i] * (1 if i == 0 else 0.1)} for i, layer in enumerate(layers)]
    optimizer = torch.optim.SGD(given, lr=lr, momentum=0.9, foreach=False)
    return optimizer, SCHEDULES[name](optimizer)


def run(optimizer: Any, schedule: Any, steps: range) -> List[List[float]]:
    rates = []
    for number in steps:
        if isinstance(schedule, L.ReduceLROnPlateau):
            schedule.step(float(number))
        elif schedule is not None:
            schedule.step()
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
    return rates


CASES = [
    (name, groups, at)
    for name, groups, at in itertools.product(SCHEDULES, (1, 2), (3, 12))
    if not (groups == 2 and name in ("one cycle", "cyclic by a function"))
]


@pytest.mark.parametrize("name,groups,at", CASES)
def test_every_later_rate_is_scaled(name: str, groups: int, at: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = run(*make(name, 0.1, groups), range(20))
        optimizer, schedule = make(name, 0.1, groups)
        run(optimizer, schedule, range(at))
        tracked = Tracked({"optimizer": optimizer, "schedule": schedule})
        assert tracked.apply_options({"lr": 0.1}, {"lr": 0.05}) == ["lr is 0.05 from here on (it was 0.1)"]
        later = run(optimizer, schedule, range(at, 20))
    for rates, scaled in zip(whole[at:], later):
        assert scaled == pytest.approx([rate / 2 for rate in rates], rel=1e-6)


@pytest.mark.parametrize("name", ["none", "step", "cosine", "linear", "in sequence"])
def test_a_rate_that_is_a_tensor_is_changed_in_its_place(name: str) -> None:
    if torch.__version__.startswith("1."):
        pytest.skip("torch 1 takes no such rate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = run(*make(name, torch.tensor(0.1)), range(20))
        optimizer, schedule = make(name, torch.tensor(0.1))
        run(optimizer, schedule, range(5))
        rate = optimizer.param_groups[0]["lr"]
        Tracked({"optimizer": optimizer, "schedule": schedule}).apply_options({"lr": 0.1}, {"lr": 0.05})
        assert optimizer.param_groups[0]["lr"] is rate
        later = run(optimizer, schedule, range(5, 20))
    for rates, scaled in zip(whole[5:], later):
        assert scaled == pytest.approx([rate / 2 for rate in rates], rel=1e-5)


class OfItsOwn(L._LRScheduler if torch.__version__.startswith("1.") else L.LRScheduler):  # type: ignore[misc]
    """A schedule that does not begin with the optimizer's rate."""

    def get_lr(self) -> List[float]:
        return [0.3 / (self.last_epoch + 1) for _ in self.optimizer.param_groups]


def test_a_schedule_with_rates_of_its_own_is_refused_and_nothing_changes() -> None:
    optimizer, _ = make("none", 0.1)
    schedule = OfItsOwn(optimizer)
    other = L.ExponentialLR(optimizer, 0.9)
    run(optimizer, schedule, range(3))
    before = (dict(optimizer.param_groups[0]), dict(vars(schedule)), dict(vars(other)))
    done = Tracked({"optimizer": optimizer, "other": other, "schedule": schedule}).apply_options({"lr": 0.1}, {"lr": 0.05})
    assert done == ["lr stays 0.1 and is not 0.05: schedule (OfItsOwn) sets its rates in a way of its own"]
    assert (dict(optimizer.param_groups[0]), dict(vars(schedule)), dict(vars(other))) == before


def test_a_wrapped_schedule_follows() -> None:
    class Wrapper:
        def __init__(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def step(self) -> None:
            self.scheduler.step()

        def get_last_lr(self) -> Any:
            return self.scheduler.get_last_lr()

        def state_dict(self) -> Any:
            return self.scheduler.state_dict()

        def load_state_dict(self, state: Any) -> None:
            self.scheduler.load_state_dict(state)

    optimizer, schedule = make("cyclic", 0.1)
    tracked = Tracked({"optimizer": optimizer, "schedule": Wrapper(schedule)})
    assert tracked.apply_options({"lr": 0.1}, {"lr": 0.05}) == ["lr is 0.05 from here on (it was 0.1)"]
    assert schedule.max_lrs == [0.05]


@pytest.mark.parametrize("old,new", [(0, 0.1), ("a", 0.1), (0.1, None), (True, 0.1)])
def test_what_is_no_number_is_refused(old: Any, new: Any) -> None:
    optimizer, _ = make("none", 0.1)
    (text,) = Tracked({"optimizer": optimizer}).apply_options({"lr": old}, {"lr": new})
    assert "cannot be scaled" in text
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_momentum_that_a_schedule_moves_is_said_to_stay() -> None:
    optimizer, schedule = make("cyclic, triangular2", 0.1)
    run(optimizer, schedule, range(3))
    (text,) = Tracked({"optimizer": optimizer, "schedule": schedule}).apply_options({"momentum": 0.9}, {"momentum": 0.5})
    assert text.startswith("momentum stays as it was and is not 0.5")
