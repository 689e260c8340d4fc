"""The order of the data: drawn a few batches ahead, the same from any place, and cut anew where batches have another size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import torch
from pairs import Launcher, Training
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, TensorDataset, WeightedRandomSampler
from trainstash.data import Batches
from trainstash.order import Place, SeededBatches


class Alone:
    """A keeper of the place of one loader."""

    seed, rank, world, epoch = 7, 0, 1, 0

    def is_mine(self) -> bool:
        return True

    def entered(self, loader: Batches) -> None: ...

    def received(self, loader: Batches, batch: Any = None) -> None: ...

    def asked(self, loader: Batches) -> None: ...

    def left(self, loader: Batches) -> None: ...

    def at_place(self) -> None: ...


class WithRandomState(Sampler[int]):
    """A sampler that draws from a generator of its own, a little at a time."""

    def __init__(self) -> None:
        self.rng = np.random.RandomState(3)

    def __iter__(self) -> Any:
        for _ in range(200):
            yield int(self.rng.randint(1000))

    def __len__(self) -> int:
        return 200


def samplers() -> List[Any]:
    data = range(1000)
    return [
        RandomSampler(data),
        RandomSampler(data, replacement=True, num_samples=300),
        RandomSampler(data, generator=torch.Generator().manual_seed(4)),
        WeightedRandomSampler([1.0 + i % 3 for i in range(1000)], 500),
        WithRandomState(),
    ]


def drawn(sampler: Any, skip: int = 0, turn: int = 0) -> List[Any]:
    place = Place("0", 5, 0)
    place.skip, place.turn = skip, turn
    batches = SeededBatches(place, BatchSampler(sampler, 7, drop_last=False), batched=True)
    return [[getattr(one, "key", one) for one in batch] for batch in batches]


@pytest.mark.parametrize("number", range(len(samplers())))
def test_the_rest_is_the_same_from_any_place_and_every_pass_is_another(number: int) -> None:
    whole = drawn(samplers()[number])
    for skip in (1, 16, 17, 40):
        assert drawn(samplers()[number], skip) == whole[skip:]
    assert drawn(samplers()[number], turn=1) != whole


def test_what_the_training_draws_between_two_batches_changes_nothing_and_is_not_changed() -> None:
    sampler = WithRandomState()
    place = Place("0", 5, 0)
    torch.manual_seed(0)
    expected = [float(torch.rand(())) for _ in range(28)]
    torch.manual_seed(0)
    draws, seen = [], []
    for batch in SeededBatches(place, BatchSampler(sampler, 8, drop_last=False), batched=True):
        draws.append(float(torch.rand(())))
        seen.append(len(batch))
        np.random.random()
    assert draws == expected[: len(draws)] and sum(seen) == 200
    assert drawn(WithRandomState()) == drawn(WithRandomState())


def test_another_batch_size_in_the_middle_of_a_pass_sees_each_sample_once() -> None:
    def loader(size: int) -> DataLoader[Any]:
        return DataLoader(TensorDataset(torch.arange(60)), batch_size=size, shuffle=True)

    first = Batches(Alone(), loader(4), "0")
    passing = iter(first)
    seen = [int(i) for _ in range(5) for i in next(passing)[0]]
    state = first.state(active=True)
    second = Batches(Alone(), loader(8), "0")
    problem = second.restore(state, active=True)
    rest = [int(i) for (batch,) in second for i in batch]
    assert problem is not None and "after 20 samples" in problem
    assert sorted(seen + rest) == list(range(60))


@pytest.mark.sample
@pytest.mark.parametrize("how", ["endless", "long"])
def test_a_sampler_without_an_end_costs_no_time_and_no_memory(launcher: Launcher, tmp_path: Path, how: str) -> None:
    training = Training(launcher, tmp_path, "endless", HOW=how)
    whole = training.launch()
    resumed = training.launch(resume=whole.checkpoints()[0])
    assert {step: text for step, text in whole.log().items() if step > 20} == resumed.log()
    for launch in (whole, resumed):
        seconds, megabytes = map(float, (launch.folder / "first.log").read_text().split())
        assert seconds < 1.0 and megabytes < 50.0
    assert resumed.newest().grade == "complete"
