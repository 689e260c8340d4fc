"""The Python side of `npm run bench -- python`: prints one JSON object with the seconds of each round; the two sides take turns.
Arguments: a folder to work in."""

import ast
import json
import os
import sys
import time
import uuid

import torch
import torch.nn as nn
import torch.nn.functional as F

import trainstash
from trainstash import launching
from trainstash.loop_variables import Names, Scope

folder = sys.argv[1]
ROUNDS = 8
STATE_BYTES = 400_000_000
LAYERS = 100


def session(every=None, resume=None, verified=None):
    """Makes a session folder as the daemon does. ``resume``: a checkpoint's folder; ``verified``: its stamp of the file."""
    name = uuid.uuid4().hex[:12]
    path = os.path.join(folder, name)
    os.makedirs(os.path.join(path, "inbox"))
    launch = dict(
        session=name, run="bench", params={}, seed=0, resume=resume and dict(directory=resume, checkpoint="bench", verified=verified), purpose="train", untilStep=None, untilEpoch=None, monitor=None,
        checkpoint=dict(everySeconds=0, everySteps=every, everyEpochs=None, onBest=False), command=dict(dir=path),
    )
    with open(os.path.join(path, "launch.json"), "w") as file:
        json.dump(launch, file)
    os.environ["TRAINSTASH_SESSION"] = path
    os.environ.pop("TRAINSTASH_OWNER", None)
    launching._current = None
    return path


def empty(path):
    for root, _, names in os.walk(os.path.join(path, "inbox"), topdown=False):
        for name in names:
            os.unlink(os.path.join(root, name))
        if root != os.path.join(path, "inbox"):
            os.rmdir(root)


def alternate(ours, theirs, rounds=ROUNDS):
    seconds = dict(ours=[], theirs=[])
    for number in range(rounds + 1):
        for side in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
            value = ours() if side == "ours" else theirs()
            if number > 0:
                seconds[side].append(value)
    return seconds


def large_state():
    width = int((STATE_BYTES / 4 / 3 / LAYERS) ** 0.5)
    model = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(LAYERS))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        optimizer.state[parameter] = dict(
            step=torch.tensor(1.0), exp_avg=torch.randn_like(parameter), exp_avg_sq=torch.rand_like(parameter)
        )
    return model, optimizer


def resident():
    """Returns the bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(run, before):
    """Returns the extra memory while a checkpoint is written, in multiples of the state."""
    most = [resident()]
    run._engine.saver.take(["steps"])
    while run._engine.checkpoints.in_flight:
        most.append(resident())
        time.sleep(0.005)
    return (max(most) - before) / STATE_BYTES


def checkpoints():
    model, optimizer = large_state()
    before = resident()
    path = session()
    run = trainstash.init(model=model, optimizer=optimizer)
    run._engine.steps = 1
    beside = memory(run, before)
    empty(path)
    stalls, durable = [], []

    def ours():
        run._engine.steps += 1
        before = time.perf_counter()
        run._engine.saver.take(["steps"])
        stall = time.perf_counter() - before
        run._engine.checkpoints.join()
        both = time.perf_counter() - before
        empty(path)
        stalls.append(stall)
        durable.append(both)
        return both

    def plain():
        target = os.path.join(folder, "plain.pt")
        before = time.perf_counter()
        with open(target, "wb") as file:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
        seconds = time.perf_counter() - before
        os.unlink(target)
        return seconds

    both = alternate(ours, plain)
    run._engine.over = True
    return dict(stall=dict(ours=stalls[1:], theirs=both["theirs"]), durable=both, memory=[beside], **loading(model, optimizer, run))


def loading(model, optimizer, run):
    """Measures from a checkpoint's folder to a model and an optimizer that continue."""
    run._engine.saver.take(["steps"])
    run._engine.checkpoints.join()
    inbox = run._engine.session.inbox
    (name,) = os.listdir(inbox)
    target = os.path.join(folder, "plain.pt")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, target)

    stat = os.stat(os.path.join(inbox, name, "state.pt"))
    stamp = dict(ino=str(stat.st_ino), bytes=stat.st_size, mtimeNs=str(stat.st_mtime_ns))

    def ours(verified):
        session(resume=os.path.join(inbox, name), verified=verified)
        before = time.perf_counter()
        resumed = trainstash.init(model=model, optimizer=optimizer)
        seconds = time.perf_counter() - before
        assert resumed.resumed
        resumed._engine.over = True
        return seconds

    def plain():
        before = time.perf_counter()
        state = torch.load(target)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return time.perf_counter() - before

    return dict(load=alternate(lambda: ours(stamp), plain), loadUnverified=alternate(lambda: ours(None), plain))


def training(with_us):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 49, 256), nn.ReLU(), nn.Linear(256, 10),
    )
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    run, path = None, None
    if with_us:
        path = session(every=100)
        run = trainstash.init(model=model, optimizer=optimizer)
    before = time.perf_counter()
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if run:
            run.step(loss=loss, accuracy=0.5)
    seconds = time.perf_counter() - before
    if run:
        run._engine.checkpoints.join()
        run._engine.over = True
        empty(path)
    return seconds


def logging():
    path = session()
    run = trainstash.init()
    run.step(loss=0.5)
    values = [0.1 + i * 1e-9 for i in range(20_000)]
    rounds = []
    for _ in range(5):
        before = time.perf_counter()
        for value in values:
            run.step(loss=value, accuracy=value)
        rounds.append((time.perf_counter() - before) / len(values))
    run._engine.over = True
    return rounds


def analysing():
    """Measures the look at a script of 200 lines as ``init`` takes it: parse, names, and the loop that it is called in."""
    lines = ["import trainstash", "run = trainstash.init()", "best = 0", "total = 0", "for epoch in run.epochs(9):", "    for x in run.batches(data):", "        total += run.step(loss=x).loss", "    best = max(best, total)"]
    lines += [line for i in range(39) for line in (f"def f{i}(a):", "    b = a + 1", "    for q in range(a):", "        b += q", "    return b")]
    source = "\n".join(lines)
    rounds = []
    for _ in range(40):
        before = time.process_time()
        tree = ast.parse(source)
        scope = Scope(tree, Names(tree))
        found = [one.name for loop in scope.loops_around(7) for one in scope.starts_again(loop)]
        rounds.append(time.process_time() - before)
        assert found, "the script's variables were not found"
    return rounds[5:]


print(
    json.dumps(
        dict(**checkpoints(), analyse=analysing(), overhead=alternate(lambda: training(True), lambda: training(False), 4), log=logging())
    )
)
