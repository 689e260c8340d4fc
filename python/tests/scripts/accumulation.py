"""Gradients that are left over: batches that the accumulation does not divide, a checkpoint between two micro-batches, and a
loop that is broken off and caught."""

import os

import trainstash
from case import KILL, RESUMED, die, loader, loss_of, net, dataset

HOW = os.environ["HOW"]
model, optimizer = net()
data = loader(dataset(40))  # 10 batches
run = trainstash.init(model=model, optimizer=optimizer)


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
                optimizer.step()
                optimizer.zero_grad()
                run.step(loss=loss)
                with open("steps.log", "a") as file:
                    file.write(f"{run.steps} {i.tolist()!r}\n")
                if HOW == "left over" and run.steps == KILL and not RESUMED:
                    run._engine.checkpoints.join()
                    os.kill(os.getpid(), 9)


try:
    loop()
except KeyboardInterrupt:
    print("interrupted, bye")
except ValueError as error:
    print("caught", error)
