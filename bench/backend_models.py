"""PyTorch's side of the backend benchmark: the models of backend-models.ts, steps on request. Input lines: `NAME STEPS`; output: seconds."""
import sys, time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(0)


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 32, 3)
        self.drop, self.out = nn.Dropout(0.25), nn.Linear(800, 10)

    def forward(self, x):
        x = F.max_pool2d(self.norm(F.relu(self.first(x))), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return self.out(self.drop(x.flatten(1)))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.out = nn.Embedding(1000, 64), nn.LSTM(64, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, ids):
        return self.out(self.lstm(self.embedding(ids))[0][:, -1])


class Transformer(nn.Module):
    def __init__(self, length=32, width=64, heads=4, vocabulary=1000):
        super().__init__()
        self.heads = heads
        self.embedding, self.position = nn.Embedding(vocabulary, width), nn.Parameter(torch.randn(length, width) * 0.1)
        linear = lambda a, b: nn.Linear(a, b, bias=False)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: linear(width, width) for name in "qkvo"} | {"up": linear(width, 4 * width), "down": linear(4 * width, width)})
            for _ in range(2)
        )
        self.head = linear(width, 10)

    def forward(self, ids):
        x = self.embedding(ids) + self.position
        batch, length, width = x.shape
        split = lambda t: t.view(batch, length, self.heads, -1).transpose(1, 2)
        for block in self.blocks:
            n = F.layer_norm(x, (width,))
            q, k, v = (split(block[name](n)) for name in "qkv")
            weights = (q @ k.transpose(-1, -2) / (width / self.heads) ** 0.5).softmax(-1)
            x = x + block["o"]((weights @ v).transpose(1, 2).reshape(batch, length, width))
            x = x + block["down"](F.relu(block["up"](F.layer_norm(x, (width,)))))
        return self.head(x.mean(1))


MODELS = {
    "mlp": lambda: (nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)), torch.randn(128, 784)),
    "conv": lambda: (Conv(), torch.randn(64, 1, 28, 28)),
    "lstm": lambda: (Lstm(), torch.randint(0, 1000, (32, 24))),
    "transformer": lambda: (Transformer(), torch.randint(0, 1000, (16, 32))),
}
made = {}


def steps(name, count):
    if name not in made:
        model, x = MODELS[name]()
        made[name] = (model, x, torch.arange(len(x)) % 10, torch.optim.Adam(model.parameters(), lr=1e-3))
    model, x, y, optimizer = made[name]
    started = time.perf_counter()
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()
    return time.perf_counter() - started


for line in sys.stdin:
    name, count = line.split()
    print(steps(name, int(count)), flush=True)
