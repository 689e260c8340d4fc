"""A training whose loader has workers. Its own processes are signalled, or, with the mode "parent" or "starting", it waits to be killed."""

import multiprocessing
import os
import signal
import sys
import time

import torch
import trainstash
from torch.utils.data import DataLoader


class Data:
    def __init__(self, hangs):
        self.hangs = hangs

    def __len__(self):
        return 64

    def __getitem__(self, i):
        if self.hangs and i >= 8:
            time.sleep(3600)
        return torch.full((2,), float(i))


def wait_for_another_parent(_):
    parent = multiprocessing.parent_process().pid
    while os.getppid() == parent:
        time.sleep(0.05)


def main():
    method = os.environ.get("METHOD", "fork")
    model = torch.nn.Linear(2, 1)
    run = trainstash.init(model=model, optimizer=torch.optim.SGD(model.parameters(), 0.01))
    if os.environ["MODE"] == "starting":
        batches = iter(DataLoader(Data(False), 2, num_workers=2, multiprocessing_context=method, worker_init_fn=wait_for_another_parent))
        print("workers", *(worker.pid for worker in batches._workers), flush=True)
        time.sleep(3600)
    batches = iter(DataLoader(Data(False), 2, num_workers=2, multiprocessing_context=method))
    next(batches)
    print("workers", *(worker.pid for worker in batches._workers), flush=True)
    if os.environ["MODE"] == "parent":
        time.sleep(3600)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        for worker in batches._workers:
            os.kill(worker.pid, number)
    print("sum", int(sum(x.sum() for x in batches)), flush=True)
    other = multiprocessing.get_context(method).Process(target=time.sleep, args=(3600,))
    other.start()
    other.terminate()
    other.join(30)
    print("another ended by", -other.exitcode, flush=True)
    hanging = iter(DataLoader(Data(True), 2, num_workers=1, persistent_workers=True, multiprocessing_context=method))
    next(hanging)
    run.step(loss=1.0)
    print("end", flush=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
