"""Writes distributed checkpoints of torch: `distributed.py FOLDER` has two processes cut tensors in several ways, and notes them whole."""

import hashlib
import json
import sys
import warnings

warnings.simplefilter("ignore")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.distributed.checkpoint as dcp  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402

CUTS = {
    "rows": ((6, 4), torch.float32, 0),
    "uneven": ((7, 3), torch.float32, 0),
    "columns": ((3, 10), torch.float64, 1),
    "odd columns": ((5, 5), torch.bfloat16, 1),
    "deep": ((4, 3, 6, 2), torch.float16, 2),
    "bias": ((9,), torch.int64, 0),
    "short": ((1, 8), torch.float32, 0),
}


def whole(name, shape, dtype, add):
    count = 1
    for size in shape:
        count *= size
    return (torch.arange(count) + len(name) + add).reshape(shape).to(dtype)


def write(rank, folder):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name, add in (("first", 0), ("second", 1)):
        state = {one: distribute_tensor(whole(one, shape, dtype, add), mesh, [Shard(cut)]) for one, (shape, dtype, cut) in CUTS.items()}
        state["everywhere"] = distribute_tensor(torch.ones(3, 3), mesh, [Replicate()])
        state["plain"] = torch.arange(5.0)
        state["step"] = torch.tensor(12)
        dcp.save({"model": state, "note": "a text", "epoch": 3}, checkpoint_id=f"{folder}/{name}")
    dist.destroy_process_group()


def described(tensor):
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return [str(tensor.dtype), list(tensor.shape), hashlib.sha256(data).hexdigest()]


if __name__ == "__main__":
    mp.spawn(write, args=(sys.argv[1],), nprocs=2)
    known = {f"model.{name}": whole(name, shape, dtype, 0) for name, (shape, dtype, _) in CUTS.items()}
    known |= {"model.everywhere": torch.ones(3, 3), "model.plain": torch.arange(5.0), "model.step": torch.tensor(12)}
    print(json.dumps({name: described(tensor) for name, tensor in known.items()}))
