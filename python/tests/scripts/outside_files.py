"""A loop that reads files, folders, stores and other processes: what it has changed itself is state, and the rest is none."""

import contextlib
import csv
import glob
import json
import os
import pickle
import shelve
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import torch
import trainstash
from case import after, dataset, loader, net

HOW = os.environ["HOW"]
# A resume finds the files that the killed process left.
os.chdir(os.environ["FILES"])
model, optimizer = net()
HERE = Path("kept")
HERE.mkdir(exist_ok=True)


def opened():
    try:
        with open("calls.txt") as file:
            n = int(file.read())
    except FileNotFoundError:
        n = 0
    with open("calls.txt", "w") as file:
        file.write(str(n + 1))
    return n


def texts():
    path = HERE / "calls"
    n = int(path.read_text()) if path.exists() else 0
    path.write_text(str(n + 1))
    return n


def jsons():
    n = json.load(open("calls.json"))["n"] if os.path.exists("calls.json") else 0
    json.dump({"n": n + 1}, open("calls.json", "w"))
    return n


def arrays():
    n = int(np.load("calls.npy")) if os.path.exists("calls.npy") else 0
    np.save("calls.npy", np.array(n + 1))
    return n


def pickles():
    n = 0
    with contextlib.suppress(FileNotFoundError), open("calls.pkl", "rb") as file:
        n = pickle.load(file)
    with open("calls.pkl", "wb") as file:
        pickle.dump(n + 1, file)
    return n


def tensors():
    n = torch.load("calls.pt") if os.path.exists("calls.pt") else 0
    torch.save(n + 1, "calls.pt")
    return n


def listed():
    (HERE / f"{run.steps}.txt").touch()
    return len(os.listdir(HERE))


def globbed():
    Path(f"step{run.steps}.mark").touch()
    return len(glob.glob("*.mark"))


def iterated():
    (HERE / f"{run.steps}.txt").touch()
    return sum(1 for _ in HERE.iterdir())


def sized():
    with open("sized.txt", "a") as file:
        file.write("x")
    return os.path.getsize("sized.txt")


def existing():
    if os.path.exists("seen"):
        return 1
    if run.steps > 12:
        Path("seen").touch()
    return 0


def shelved():
    with shelve.open("shelf") as shelf:
        shelf["n"] = shelf.get("n", 0) + 1
        return shelf["n"]


def database():
    with contextlib.closing(sqlite3.connect("calls.db")) as connection:
        connection.execute("create table if not exists calls (n)")
        connection.execute("insert into calls values (1)")
        connection.commit()
        return connection.execute("select count(*) from calls").fetchone()[0]


def process():
    return int(subprocess.run(["sh", "-c", "echo x >> sub; wc -l < sub"], capture_output=True, text=True).stdout)


def checked_output():
    return int(subprocess.check_output("echo x >> sub; wc -l < sub", shell=True))


def popen():
    return int(os.popen("echo x >> sub; wc -l < sub").read())


def renamed():
    Path("new.txt").write_text(str(run.steps))
    before = int(Path("old.txt").read_text()) if Path("old.txt").exists() else 0
    os.replace("new.txt", "old.txt")
    return before % 3


def mapped():
    array = np.memmap("map.bin", dtype=np.int64, mode="r+" if os.path.exists("map.bin") else "w+", shape=(1,))
    array[0] += 1
    return int(array[0])


# ---- what is no state ----

CONFIG = Path("config.json")
CONFIG.write_text('{"by": 3}')
settings = json.loads(CONFIG.read_text())


def config_before():
    return settings["by"]


def config_in_loop():
    return json.loads(CONFIG.read_text())["by"]


def data_file():
    with open(CONFIG) as file:
        n = len(file.read())
    with open("log.txt", "a") as log:
        log.write(f"{n}\n")
    return n


def environment_once():
    return len(os.environ.get("HOW"))


def environment_set():
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["STEP"] = str(run.steps)
    return int(os.environ.get("LOCAL_RANK", "0"))


def log_file():
    with open("log.csv", "a", newline="") as file:
        csv.writer(file).writerow([run.steps])
    return 0


def shown_file():
    with open("log.txt", "a") as file:
        file.write("x\n")
    print(len(open("log.txt").read()))
    return 0


def last_three():
    os.makedirs("weights", exist_ok=True)
    torch.save(model.state_dict(), f"weights/{run.steps:04}.pt")
    for old in sorted(glob.glob("weights/*.pt"))[:-3]:
        os.remove(old)
    return 0


def last_three_by_path():
    folder = Path("weights")
    folder.mkdir(exist_ok=True)
    torch.save(model.state_dict(), folder / f"{run.steps:04}.pt")
    for old in sorted(folder.glob("*.pt"))[:-3]:
        old.unlink()
    return 0


def history():
    known = json.load(open("history.json")) if os.path.exists("history.json") else []
    known.append(run.steps)
    with open("history.json", "w") as file:
        json.dump(known, file)
    return 0


def stop_file():
    with open("log.txt", "a") as file:
        file.write("x\n")
    return 1 if os.path.exists("stop") else 0


def folder_made():
    if not os.path.exists("weights"):
        os.makedirs("weights")
    torch.save(model.state_dict(), "weights/newest.pt")
    return 0


def library_read():
    torch.nn.functional.relu(torch.zeros(1))
    return len(torch.__version__) % 3 + int(torch.backends.cudnn.enabled)


def shown_process():
    subprocess.run(["true"], check=True)
    print(subprocess.run(["echo", "x"], capture_output=True, text=True).stdout)
    return 0


def getattr_of_steady():
    return getattr(settings, "by", 3)


def working_directory():
    os.makedirs(f"deep/{run.steps}", exist_ok=True)
    here = os.getcwd()
    os.chdir(f"deep/{run.steps}" if run.steps > 5 else ".")
    n = len(os.getcwd())
    os.chdir(here)
    return n % 7


work = globals().get(HOW, lambda: 0)

batches = loader(dataset())
run = trainstash.init(model=model, optimizer=optimizer)
for epoch in run.epochs(3):
    for x, i in run.batches(batches):
        x = x * (1 + 0.01 * work())
        optimizer.zero_grad()
        loss = (model(x) - x).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.step(loss=loss)
        after(run, epoch, i.tolist(), loss.item())
