"""Writes files of every kind that torch and NumPy write, and hostile ones, into the folder that it is given."""
import argparse, collections, os, pickle, struct, sys, zipfile

import numpy as np
import torch
import torch.nn as nn

os.chdir(sys.argv[1])
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(4, 10)).sum().backward(); optimizer.step()
tied = torch.arange(24.0).reshape(4, 6)
torch.save(
    {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "lr": 0.1, "tied": [tied, tied], "view": tied[1:, ::2],
        "turned": tied.t(), "bf16": torch.tensor([1.0, -2.0]).bfloat16(), "half": torch.tensor([0.5, float("nan")]).half(),
        "quantised": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8), "sparse": torch.eye(3).to_sparse(),
        "array": np.arange(6.0).reshape(2, 3), "scalar": np.float64(2.5), "names": argparse.Namespace(a=1), "none": None,
        "default": collections.defaultdict(list, {"x": [1, 2]}), "long": 1 << 80,
    },
    "all.pt",
)
torch.save({"w": torch.full((5, 5), 2.0), "b": torch.ones(5).double()}, "old.pt", _use_new_zipfile_serialization=False)
torch.save(model, "whole-model.pt")
torch.jit.script(nn.Linear(3, 3)).save("script.pt")
np.savez("plain.npz", w=np.full((3, 4), 2, "f4"), b=np.arange(5))
np.savez_compressed("packed.npz", w=np.zeros((300, 4), "f4"))
array = np.arange(12, dtype="f4").reshape(3, 4)
for protocol in (2, 3, 4):
    with open(f"paddle{protocol}.pdparams", "wb") as file:
        pickle.dump({"linear.weight": ("linear.weight", array), "bias": array[0]}, file, protocol=protocol)

frozen = torch.randn(2048, 1024)
torch.save({"frozen": frozen, "head": torch.randn(512, 1024)}, "frozen1.pt")
torch.save({"head": torch.randn(512, 1024), "more": torch.randn(300, 1024), "frozen": frozen}, "frozen2.pt")


class Evaluated:
    """A tensor as older versions of Paddle write it."""

    def __init__(self, data): self.data = data
    def __reduce__(self): return eval, ("data", {"data": self.data})


with open("lod.pdparams", "wb") as file:
    pickle.dump({"linear.weight": Evaluated(array)}, file, protocol=2)


def hostile(name, data):
    """Writes the same pickle alone, and inside a torch file."""
    open(f"hostile-{name}.pkl", "wb").write(data)
    with zipfile.ZipFile(f"hostile-{name}.pt", "w") as archive:
        archive.writestr("archive/data.pkl", data)


touch = b"touch pwned"
hostile("reduce", b"\x80\x02cposix\nsystem\nX" + struct.pack("<I", len(touch)) + touch + b"\x85R.")
hostile("inst", b"(S'touch pwned'\niposix\nsystem\n.")
hostile("obj", b"(cposix\nsystem\nS'touch pwned'\no.")
hostile("stack-global", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0btouch pwned\x85R.")
hostile("newobj", b"\x80\x02cposix\nsystem\nX" + struct.pack("<I", len(touch)) + touch + b"\x85\x81.")
hostile("build", b"\x80\x02cbuiltins\nobject\n)\x81}X\x05\0\0\0touchcposix\nsystem\nsb.")
hostile("persistent", b"(S'storage'\ncposix\nsystem\nS'0'\nS'cpu'\nI1\ntQ.")
hostile("eval", b"\x80\x02c__builtin__\neval\nX\x1f\0\0\0__import__('os').system('true')\x85R.")
hostile("extension", b"\x80\x02\x82\x01.")
hostile("deep", b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".")
hostile("cycle", b"\x80\x02]q\x00h\x00a.")
hostile("doubling", b"\x80\x02" + b"]q\x00K\x01a" + b"".join(b"]q%c" % (i + 1) + b"h%ch%c" % (i, i) + b"\x86a" for i in range(60)) + b".")
hostile("claims-a-gigabyte", b"\x80\x02X\xff\xff\xff\x3fabc.")
hostile("claims-more-than-there-is", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.")
hostile("many-objects", b"\x80\x02" + b"]" * 3_000_000 + b".")
hostile("huge-number", b"\x80\x02\x8b\xff\xff\xff\x00" + b"\x01" * 100 + b".")
hostile("long-digits", b"I" + b"9" * 100_000 + b"\n.")
hostile("empty-stack", b"\x80\x02R.")
hostile("absurd-shape", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\x00(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ft(K\x01K\x01K\x01t\x89)tR.")
with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("w.npy", b"\0" * 300_000_000)
with zipfile.ZipFile("bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("archive/data.pkl", b"\x80\x02" + b"]0" * 100_000_000 + b".")
