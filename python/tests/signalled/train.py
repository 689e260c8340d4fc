"""A training of a trial: with torch, alone or with several ranks, with workers or without; or of plain Python."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import Any, List

import trainstash
from signalled import blows

_EPOCHS, _BATCHES, _CHECKS = 3, 8, 3
_STEP_SECONDS = 0.02


def done(run: Any, value: float) -> None:
    """Notes a step that was done."""
    if run.rank == 0:
        with open(os.path.join(os.environ["TRIAL"], "steps.log"), "a") as file:
            file.write(f"{run.steps} {value!r}\n")
    blows.reached("step", run.steps)
    time.sleep(_STEP_SECONDS)


def ended(run: Any, values: List[float]) -> None:
    if run.rank == 0:
        with open(os.path.join(os.environ["TRIAL"], "final"), "w") as file:
            file.write(repr(values))


def plain() -> None:
    random.seed(1)
    dice = random.Random(1)
    run = trainstash.init()
    state = run.state(weight=1.0, slow=0.0)
    for epoch in run.epochs(_EPOCHS):
        for x in run.batches([[i * 0.25 - 1] for i in range(_BATCHES)]):
            state.weight -= 0.1 * (state.weight * x[0] - random.random())
            state.slow = 0.9 * state.slow + 0.1 * state.weight
            run.step(loss=state.weight)
            done(run, state.weight)
        for i in range(_CHECKS):
            blows.reached("validation", epoch * _CHECKS + i)
            time.sleep(_STEP_SECONDS)
        run.log(val_loss=state.slow)
    ended(run, [state.weight, state.slow, dice.random()])


def with_torch() -> None:
    import torch
    import torch.distributed as dist
    from torch.utils.data import DataLoader
    from torch.utils.data.distributed import DistributedSampler

    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))
    # With three ranks DDP keeps one order of its sums only so.
    model: Any = torch.nn.parallel.DistributedDataParallel(net, find_unused_parameters=True) if world > 1 else net
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    workers = int(os.environ["WORKERS"])
    more: Any = {}
    if workers:
        more = {"multiprocessing_context": os.environ["METHOD"], "persistent_workers": os.environ["PERSISTENT"] == "1"}
    data, checks = Noisy(_BATCHES * 2 * world), Noisy(_CHECKS * 2 * world)
    sampler = DistributedSampler(data) if world > 1 else None
    loader = DataLoader(data, 2, sampler=sampler, shuffle=sampler is None, num_workers=workers, **more)
    # A loader of the script's own, which the package does not drive.
    own = DataLoader(checks, 2, num_workers=workers, generator=torch.Generator(), **more)
    run = trainstash.init(model=model, optimizer=optimizer)
    for epoch in run.epochs(_EPOCHS):
        model.train()
        for x, y in run.batches(loader):
            optimizer.zero_grad()
            loss = (model(x) - y).pow(2).mean()
            loss.backward()
            optimizer.step()
            run.step(loss=loss)
            done(run, loss.item())
        model.eval()
        with torch.no_grad():
            total = 0.0
            for i, (x, y) in enumerate(own):
                blows.reached("validation", epoch * _CHECKS + i)
                total += (net(x) - y).pow(2).mean().item()
        run.log(val_loss=total)
    ended(run, [value for one in net.parameters() for value in one.detach().double().flatten().tolist()])


class Noisy:
    """Samples with noise of torch's and Python's random numbers."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> Any:
        import torch

        if i >= self._length:
            raise IndexError(i)
        x = torch.full((4,), i / self._length) + 0.01 * torch.rand(4)
        return x, x.sum().reshape(1) * random.random()


def main() -> None:
    blows.install()
    plain() if os.environ["FRAMEWORK"] == "plain" else with_torch()
    if "RANK" in os.environ:
        # torch's own gloo aborts now and then when the interpreter ends.
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
