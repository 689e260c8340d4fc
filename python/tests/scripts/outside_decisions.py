"""Decisions by a file that the loop itself changes, about what is shown or saved, or about what is trained. HOW names one of the functions."""

import json
import os
import time
from pathlib import Path

import torch
import trainstash
from case import after, dataset, loader, loss_of, net

HOW = os.environ["HOW"]
FILES = Path(os.environ.get("FILES", "."))
model, optimizer = net()
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
data = loader(dataset(64))
scales = [1.0]


def history_within(path):
    history = []
    if os.path.exists(path):
        with open(path) as file:
            history = json.load(file)
    history.append(run.steps)
    with open(path, "w") as file:
        json.dump(history, file)


def read_back(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return json.load(file)


def history_returned(path):
    history = read_back(path)
    history.append(run.steps)
    Path(path).write_text(json.dumps(history))


def history_tried(path):
    try:
        with open(path) as file:
            history = json.load(file)
    except FileNotFoundError:
        history = []
    history.append(run.steps)
    Path(path).write_text(json.dumps(history))


def rotated(path):
    torch.save(model.state_dict(), f"{path}-{run.steps}.pt")
    files = sorted(Path(path).parent.glob("*.pt"), key=lambda one: one.stat().st_mtime)
    if len(files) > 2:
        for old in files[:-2]:
            old.unlink()


def pruned(path):
    torch.save(model.state_dict(), f"{path}-{run.steps}.pt")
    for name in os.listdir(os.path.dirname(path)):
        if not name.endswith(".pt"):
            continue
        os.remove(os.path.join(os.path.dirname(path), name))


def saved_once(path):
    if os.path.exists(path):
        return
    torch.save(model.state_dict(), path)


def refused(path):
    if os.path.exists(f"{path}.lock"):
        raise RuntimeError("somebody else trains")
    Path(path).write_text("x")


def gathered(path):
    if os.path.exists(path):
        scales.append(1.5)
    Path(path).write_text("x")


def returned(path):
    if os.path.exists(path):
        return 2.0
    Path(path).write_text("x")
    return 1.0


def returned_before(path):
    there = os.path.exists(path)
    Path(path).write_text("x")
    if there:
        return
    for group in optimizer.param_groups:
        group["lr"] *= 0.5


def within(path):
    factor = 1.0
    with open(path, "a+") as file:
        file.seek(0)
        if len(file.read()) > 3:
            factor = 2.0
        file.write("x")
    return factor


def scheduled(path):
    if os.path.exists(path):
        schedule.step()
    Path(path).write_text("x")


def by_the_clock(path):
    if time.monotonic() - began > 0.01:
        schedule.step()


def lower_rate(path):
    there = len(os.listdir(os.path.dirname(path)))
    Path(f"{path}-{run.steps}").write_text("x")
    optimizer.param_groups[0]["lr"] = 0.01 / (1 + there)


def scaled_network(path):
    model.factor = 1.0 + os.path.exists(path)
    Path(path).write_text("x")


def shown(path):
    there = os.path.exists(path)
    Path(path).write_text("x")
    took = time.monotonic() - began
    meter.append(took)
    if there:
        print(f"{took:.1f}", len(meter))
    meter.clear()


def tracked_more(path):
    for name in os.listdir(os.path.dirname(path)):
        if name == "never":
            break
        if os.path.exists(path):
            optimizer.zero_grad()
    Path(path).write_text("x")


def in_place(path):
    rate = 0.1 if os.path.exists(path) else 0.0
    Path(path).write_text("x")
    with torch.no_grad():
        for one in model.parameters():
            if one.grad is not None:
                one -= rate * one.grad


began = time.monotonic()
meter = []
act = globals()[HOW]
run = trainstash.init(model=model, optimizer=optimizer, scheduler=schedule)
for epoch in run.epochs(2):
    for x, i in run.batches(data):
        factor = act(str(FILES / "kept"))
        optimizer.zero_grad()
        loss = loss_of(model, x) * scales[-1] * (factor or 1.0)
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, i.tolist())
