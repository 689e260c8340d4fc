"""Writes pairs of checkpoints and, beside them, their differences computed with NumPy in float64."""
import json, os, sys

import numpy as np
import torch

os.chdir(sys.argv[1])
torch.manual_seed(7)


def noisy(tensor, by=1e-3):
    return tensor * (1 + by * torch.randn(tensor.shape, dtype=torch.float32)).to(tensor.dtype)


big = torch.randn(700, 1024)
special = torch.randn(3000)
special2 = special.clone()
special[[3, 900]] = float("nan"); special[7] = float("inf")
special2[3] = float("nan"); special2[8] = -float("inf"); special2[1500] += 2
zeros = torch.zeros(2000); negative = torch.zeros(2000); negative[5] = -0.0
image = torch.randn(8, 3, 5, 7)
base = torch.randn(40, 60)
first = {
    "big": big, "small": torch.randn(5), "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4),
    "brain": torch.randn(600, 900).bfloat16(), "half": torch.randn(33, 65).half(), "double": torch.randn(50, 60).double(),
    "counter": torch.tensor(17), "bools": torch.tensor([True, False, True]), "bytes": torch.arange(200, dtype=torch.uint8),
    "special": special, "zeros": zeros, "same": torch.randn(256, 300),
    "channels": image.contiguous(memory_format=torch.channels_last), "turned": base.t(), "sliced": base[3:20, ::2],
    "tied": big, "tiny": torch.full((600,), 1e-42),
    "one_element": torch.ones(2048),
}
second = {name: tensor.clone() if tensor.dtype in (torch.bool, torch.int64, torch.uint8) else noisy(tensor) for name, tensor in first.items()}
second.update(
    counter=torch.tensor(19), bools=torch.tensor([True, True, True]), special=special2, zeros=negative, same=first["same"].clone(),
    channels=noisy(image).contiguous(), turned=noisy(base.t()).contiguous(), tied=second["big"], tiny=torch.full((600,), 3e-42),
    one_element=first["one_element"].clone(),
)
second["one_element"][1033] = 1.25
torch.save({"state_dict": first}, "first.pt")
torch.save({"state_dict": second}, "second.pt")


def values(tensor):
    return tensor.double().numpy().ravel()


def truth(a, b):
    x, y = values(a), values(b)
    same = ((x == y) & (np.signbit(x) == np.signbit(y))) | (np.isnan(x) & np.isnan(y))
    finite = np.isfinite(x) & np.isfinite(y)
    p, q = x[finite], y[finite]
    d = q - p
    size = np.abs(np.where(finite, np.nan_to_num(y) - np.nan_to_num(x), 0))
    exponents = np.frexp(size[size > 0])[1] - 1
    norms = [float(np.linalg.norm(v)) for v in (p, q, d)]
    return {
        "elements": x.size, "changed": int((~same).sum()), "norms": norms,
        "cosine": float(p @ q / (norms[0] * norms[1])) if norms[0] * norms[1] > 0 else None,
        "largest": None if size.size == 0 or size.max() == 0 else
            {"at": [int(i) for i in np.unravel_index(int(size.argmax()), a.shape)], "change": float(size.max())},
        "nan": [int(np.isnan(v).sum()) for v in (x, y)], "infinite": [int(np.isinf(v).sum()) for v in (x, y)],
        "histogram": [{"e": int(e), "count": int(n)} for e, n in zip(*np.unique(exponents, return_counts=True))],
    }


json.dump({name: truth(first[name], second[name]) for name in first}, open("truth.json", "w"))

layers = {"fc.weight": torch.randn(4, 3), "fc.bias": torch.randn(4)}
torch.save(layers, "plain.pt")
torch.save({"module." + name: tensor + 1 for name, tensor in layers.items()}, "parallel.pt")
torch.save({"state_dict": {"model._orig_mod." + name: tensor for name, tensor in layers.items()}}, "compiled.pt")
torch.save({"dense." + name.split(".")[1]: tensor for name, tensor in layers.items()}, "renamed.pt")
torch.save({"fc.weight": torch.randn(5, 3), "fc.bias": layers["fc.bias"].bfloat16(), "extra": torch.ones(2)}, "reshaped.pt")
torch.save({"other": torch.ones(3)}, "stranger.pt")
torch.save({"embed": layers["fc.weight"], "head": layers["fc.weight"]}, "tied.pt")
torch.save({"embed": layers["fc.weight"].clone(), "head": layers["fc.weight"] + 1}, "untied.pt")
np.savez("plain.npz", **{name: tensor.numpy() for name, tensor in layers.items()})
np.savez_compressed("packed.npz", **{name: np.asfortranarray(tensor.numpy()) for name, tensor in layers.items()})
with open("plain.safetensors", "wb") as file:
    header, at = {}, 0
    for name, tensor in layers.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + tensor.numel() * 4]}
        at += tensor.numel() * 4
    text = json.dumps(header).encode()
    file.write(len(text).to_bytes(8, "little") + text + b"".join(tensor.numpy().tobytes() for tensor in layers.values()))
