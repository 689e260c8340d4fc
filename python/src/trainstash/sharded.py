"""Tensors of which each process has a part (FSDP2's ``fully_shard``, tensor parallel). Each process writes its own parts, in
the format of ``torch.distributed.checkpoint``, into a folder of the one checkpoint; ``state.pt`` says where they belong.

All processes write at the same time and wait for each other: these checkpoints are not written beside the training."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .distributed import Group
from .shardfile import open_reader

#: The folder in a checkpoint.
FOLDER = "shards"
TAG = "trainstash.sharded"


class Sharded:
    """A stand-in, in a state that was read, for a tensor whose parts are beside it.

    Attributes:
        key: Its name in the folder.
        shape: The shape of the whole tensor.
        placements: The cut that each dimension of the mesh made: "S0" along the first axis, "R" not at all.
    """

    layout = "sharded"
    is_nested = False

    def __init__(self, key: str, dtype: Any, shape: Tuple[int, ...], placements: Tuple[str, ...]) -> None:
        self.key = key
        self.dtype = dtype
        self.shape = tuple(shape)
        self.placements = tuple(placements)


def described(tensor: Any) -> Optional[Tuple[Tuple[int, ...], Tuple[str, ...]]]:
    """Returns shape and placements of a sharded tensor; None for one whose parts are yet to be summed."""
    names = []
    for placement in tensor.placements:
        if placement.is_replicate():
            names.append("R")
        elif type(placement).__name__ == "Shard":
            names.append(f"S{placement.dim}")
        else:
            return None
    return tuple(int(n) for n in tensor.shape), tuple(names)


class Shards:
    """The sharded tensors of a state that is about to be written, on every process. On rank 0 ``write`` is called by whoever
    writes the rest of the checkpoint, as often as it takes, and then ``close``; the others ``serve``."""

    def __init__(self, tensors: Mapping[str, Any], group: Group) -> None:
        self._tensors = dict(tensors)
        self._group = group
        self._is_closed = False

    def write(self, folder: str) -> List[Dict[str, Any]]:
        """Writes the parts of all processes into ``folder``/shards, durably.

        Returns:
            Name and size in bytes of each file, relative to ``folder``.

        Raises:
            OSError: A process could not write, or does not see this folder.
        """
        target = os.path.join(folder, FOLDER)
        os.makedirs(target, mode=0o700, exist_ok=True)
        self._group.share(target)
        self._save(target)
        names = sorted(os.listdir(target))
        reader = open_reader(target)
        missing = sorted(reader.files() - set(names))
        if missing:
            raise OSError(f"{missing[0]} is not in {target}: the processes do not see one folder")
        if reader.keys() != set(self._tensors):
            raise OSError(f"{target} does not hold what was written")
        return [{"name": f"{FOLDER}/{name}", "bytes": os.path.getsize(os.path.join(target, name))} for name in names]

    def close(self) -> None:
        """Lets the other processes go on. On rank 0, whatever happened."""
        if not self._is_closed:
            self._is_closed = True
            self._group.share(None)

    def serve(self) -> None:
        """Writes, on the other ranks, this process's parts wherever rank 0 says, until it says that it is done."""
        while True:
            target = self._group.share(None)
            if target is None:
                return
            try:
                self._save(target)
            except OSError:
                continue  # Rank 0 has the same error, and says so.

    def _save(self, target: str) -> None:
        import torch.distributed.checkpoint as dcp

        writer = dcp.FileSystemWriter(target, single_file_per_rank=True, sync_files=True, thread_count=1)
        try:
            dcp.save(self._tensors, storage_writer=writer, process_group=self._group.plain)
        except Exception as error:
            raise OSError(f"a process could not write its part: {_cause(error)}") from error


def same_everywhere(group: Group, state: Mapping[str, Any]) -> List[str]:
    """Names the tensors that are not sharded and yet differ between the processes: only those of rank 0 are kept."""
    digests = {key: _digest(value) for key, value in state.items() if hasattr(value, "untyped_storage") and not hasattr(value, "to_local")}
    all_digests = group.gather(digests)
    return [key for key in digests if any(one.get(key) != digests[key] for one in all_digests)]


def placeholders(value: Any) -> List[Sharded]:
    """Finds all tensors that a state which was read has beside it."""
    if isinstance(value, Sharded):
        return [value]
    items = value.values() if isinstance(value, dict) else value if type(value) in (list, tuple) else ()
    return [one for item in items for one in placeholders(item)]


def load(targets: Mapping[str, Any], folder: str, group: Group) -> None:
    """Fills tensors from the parts in a folder; each process takes what it needs, however the parts were cut.

    Args:
        targets: A sharded tensor or a whole one for each key. All processes come here with the same keys.

    Raises:
        ValueError: The folder is damaged, or holds something else.
    """
    import torch.distributed.checkpoint as dcp

    reader = open_reader(folder)
    reader.check()
    alone = not group.is_set_up
    try:
        dcp.load(dict(targets), storage_reader=reader.for_torch(), process_group=group.plain, no_dist=alone)
    except Exception as error:
        raise ValueError(f"its shards cannot be read: {_cause(error)}") from error


def target_like(own: Any, saved: Sharded) -> Any:
    """Makes a new tensor for the parts of ``saved``: cut like ``own``, the parameter or weight that it belongs to."""
    import torch

    if not hasattr(own, "to_local"):
        return torch.zeros(saved.shape, dtype=saved.dtype, device=own.device if hasattr(own, "device") else "cpu")
    if tuple(own.shape) == saved.shape:
        return torch.empty_like(own, dtype=saved.dtype, requires_grad=False)
    from torch.distributed.tensor import Replicate, Shard, zeros

    names = saved.placements if len(saved.placements) == own.device_mesh.ndim else ("R",) * own.device_mesh.ndim
    placements = [Replicate() if name == "R" else Shard(int(name[1:])) for name in names]
    return zeros(saved.shape, dtype=saved.dtype, device_mesh=own.device_mesh, placements=placements)


def as_own(own: Any, whole: Any) -> Any:
    """Cuts a whole tensor of a checkpoint as the model has it now. Every process has read all of it."""
    if not hasattr(own, "to_local") or hasattr(whole, "to_local"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.to(own.to_local().device), own.device_mesh, own.placements, src_data_rank=None)


def _digest(tensor: Any) -> str:
    torch: Any = sys.modules["torch"]
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.blake2b(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"", digest_size=8).hexdigest()


def _cause(error: BaseException) -> str:
    """Says why one of the processes failed: torch puts a table around it."""
    failures = getattr(error, "failures", None)
    if failures:
        first = next(iter(failures.values()))
        error = first[0] if isinstance(first, tuple) else first
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}"
