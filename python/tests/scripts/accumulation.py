"""Gradients that are left over: batches that the accumulation does not divide, a checkpoint between two micro-batches, and a
loop that is broken off and caught."""

import os

import torch
import trainstash
from case import KILL, RESUMED, die, loader, loss_of, net, dataset

HOW = os.environ["HOW"]
model, optimizer = net()
data = loader(dataset(40))  # 10 batches
more = {}
if HOW == "critic":
    # Trained with each step, and its gradients are cleared right before they are computed.
    critic = torch.nn.Linear(8, 1)
    critic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    more = {"critic": critic, "critic_optimizer": critic_optimizer}
if HOW == "some only":
    # The others' gradients add up for ever, and count where all are clipped together.
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.ndim == 2], lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer, **more)


def loop():
    optimizer.zero_grad()
    for epoch in run.epochs(4):
        for n, (x, i) in enumerate(run.batches(data)):
            loss = loss_of(model, x) / 4
            loss.backward()
            if HOW == "between" and run.steps == KILL and (n + 1) % 4 == 2 and not RESUMED:
                die(run)
            if HOW == "interrupted" and run.steps == KILL and (n + 1) % 4 == 2 and not RESUMED:
                raise KeyboardInterrupt
            if HOW == "error" and run.steps == KILL and (n + 1) % 4 == 2 and not RESUMED:
                raise ValueError("as asked")
            if (n + 1) % 4 == 0:
                if HOW == "some only":
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                if HOW == "critic":
                    critic_optimizer.zero_grad()
                    critic(model(x).detach()).pow(2).mean().backward()
                    critic_optimizer.step()
                run.step(loss=loss)
                with open("steps.log", "a") as file:
                    file.write(f"{run.steps} {i.tolist()!r}\n")
                if HOW in ("left over", "critic", "some only") and run.steps == KILL and not RESUMED:
                    run._engine.checkpoints.join()
                    os.kill(os.getpid(), 9)


try:
    loop()
except KeyboardInterrupt:
    print("interrupted, bye")
except ValueError as error:
    print("caught", error)
