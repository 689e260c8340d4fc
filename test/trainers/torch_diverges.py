"""A small PyTorch training in three lines that diverges: above a learning rate at one step, or at samples that are NaN."""
import argparse, os, sys, types

import torch
import trainstash

torch._dynamo = sys.modules["torch._dynamo"] = types.SimpleNamespace(
    graph_break=lambda: None, disable=lambda function, *_, **__: function
)
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--at", type=int, default=0)  # From this step on it diverges …
parser.add_argument("--above", type=float, default=1e9)  # … with a learning rate above this.
parser.add_argument("--factor", type=float, default=float("nan"))
parser.add_argument("--nan-sample", type=int, default=-1)
parser.add_argument("--journal", default="")
parser.add_argument("--wait-at", type=int, default=0)  # Waits at this step, in its first launch, until `<journal>.go` is there.
options = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=options.lr)
x = torch.randn(160, 4)
x[:, 0] = torch.arange(160)
if options.nan_sample >= 0:
    x[options.nan_sample, 1] = float("nan")
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.randn(160, 1)), batch_size=8, shuffle=True)
run = trainstash.init(model=model, optimizer=optimizer, params={"lr": options.lr, "epochs": options.epochs})
if options.journal:
    with open(options.journal, "a") as file:
        file.write(f"begin {run.steps} {optimizer.param_groups[0]['lr']}\n")
for epoch in run.epochs(options.epochs):
    for inputs, targets in run.batches(loader):
        optimizer.zero_grad()
        loss = (model(inputs * torch.tensor([0.0, 1.0, 1.0, 1.0])) - targets).pow(2).mean()
        if options.at and run.steps + 1 >= options.at and optimizer.param_groups[0]["lr"] > options.above:
            loss = loss * options.factor
        loss.backward()
        optimizer.step()
        if options.journal:
            with open(options.journal, "a") as file:
                file.write(f"step {run.steps + 1} {' '.join(str(int(one)) for one in inputs[:, 0])}\n")
        run.step(loss=loss)
        if run.steps % 5 == 0 and loss.item() == loss.item():
            run.checkpoint()
        if options.wait_at == run.steps and not run.resumed:
            import time

            while not os.path.exists(f"{options.journal}.go"):
                time.sleep(0.02)
print("FINAL", float(sum(p.abs().sum() for p in model.parameters())), run.steps)
