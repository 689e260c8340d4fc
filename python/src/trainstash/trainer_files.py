"""A `checkpoint-N` folder of Transformers' Trainer as a checkpoint of ours: written beside the user's own, looked into, and put
back. What Transformers leaves out stands in a file of ours inside of the folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from . import ResumeError, ptfile, ptread
from .ingredients import Ingredients
from .staging import Staging

#: Our own file in the folder.
OWN_FILE = "trainstash.pt"
_STATE = "trainer_state.json"
_TIMES = ("_runtime", "_per_second")
# Files that a folder can hold its weights in, by the names that Transformers and PEFT load.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "adapter_model.safetensors", "adapter_model.bin")
_INDEX = (".safetensors.index.json", ".bin.index.json")
# Parts of DeepSpeed and FSDP, which hold weights and optimizer in folders of their own.
_SHARDED_WEIGHTS = ("pytorch_model_fsdp", "global_step")
_SHARDED_OPTIMIZER = ("optimizer_", "optimizer.bin", "global_step")


def write(trainer: Any, target: str, trial: Any) -> str:
    """Lets the Trainer write a whole folder into ``target``, whatever it leaves out of its own. Every rank calls it.

    Returns:
        The folder's path.
    """
    from transformers import Trainer

    state, args = trainer.state, trainer.args
    folder = os.path.join(target, f"checkpoint-{state.global_step}")
    before = (state.best_model_checkpoint, dict(state.stateful_callbacks or {}))
    with _elsewhere(trainer, target):
        # A class of the user's may write less than a resume needs.
        Trainer._save_checkpoint(trainer, trainer.model_wrapped, trial)
        if args.should_save and not _weight_files(folder):
            Trainer.save_model(trainer, folder, _internal_call=True)
    state.best_model_checkpoint, callbacks = before
    if args.should_save:
        # It took this folder for the best one's, and the arguments are others while it writes.
        state.save_to_json(os.path.join(folder, _STATE))
        _write_arguments(folder, args)
    if state.stateful_callbacks is not None:
        state.stateful_callbacks = callbacks
    return folder


@contextlib.contextmanager
def _elsewhere(trainer: Any, target: str) -> Iterator[None]:
    """Makes the Trainer write there: whole, without deleting older ones, and without pushing them anywhere."""
    args = trainer.args
    others = {"save_only_model": False, "push_to_hub": False, "save_total_limit": None}
    before = {name: getattr(args, name) for name in others if hasattr(args, name)}
    own = trainer.__dict__.get("_get_output_dir")
    trainer._get_output_dir = lambda *_, **__: target
    for name in before:
        object.__setattr__(args, name, others[name])
    try:
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(args, name, value)
        if own is None:
            del trainer._get_output_dir
        else:
            trainer._get_output_dir = own


def _write_arguments(folder: str, args: Any) -> None:
    import torch

    path = os.path.join(folder, "training_args.bin")
    if os.path.exists(path):
        torch.save(args, path)


def write_own(folder: str, state: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Writes our file into the folder. Returns what could not be kept: places and reasons."""
    staged = Staging().copy(state)
    staged.wait()
    ptfile.write(staged.state, os.path.join(folder, OWN_FILE))
    return staged.lost


def read_own(folder: str) -> Optional[Dict[str, Any]]:
    """Reads our file; None where the folder has none."""
    path = os.path.join(folder, OWN_FILE)
    if not os.path.exists(path):
        return None
    found: Dict[str, Any] = ptread.read(path)
    return found


def folder_in(restored: str) -> str:
    """Finds the `checkpoint-N` folder of a restored checkpoint.

    Raises:
        ResumeError: There is none.
    """
    for name in sorted(os.listdir(restored)):
        if name.startswith("checkpoint-") and os.path.isdir(os.path.join(restored, name)):
            return os.path.join(restored, name)
    raise ResumeError(f"{restored} holds no checkpoint of Transformers. Nothing was started.")


def step_of(folder: str) -> int:
    """Reads the step that a folder's name says."""
    return int(os.path.basename(folder).rpartition("-")[2])


# ---- what is in it ----


def find(folder: str, trainer: Any, found: Ingredients) -> None:
    """Notes which parts of the training's state are in the folder."""
    names = os.listdir(folder)
    if _weight_files(folder) or _has(names, _SHARDED_WEIGHTS):
        found.kept("weights", "model")
    else:
        found.lost("weights", "model", "its save_model() writes nothing that Transformers can load")
    if "optimizer.pt" in names or _has(names, _SHARDED_OPTIMIZER):
        found.kept("optimizer", "optimizer")
    else:
        found.lost("optimizer", "optimizer", "the folder has none")
    if getattr(trainer, "lr_scheduler", None) is None:
        found.absent("schedule", "schedule")
    elif "scheduler.pt" in names or _has(names, ("global_step",)):
        found.kept("schedule", "schedule")
    else:
        found.lost("schedule", "schedule", "the folder has none")
    if getattr(trainer.accelerator, "scaler", None) is None:
        found.absent("scaler", "scaler")
    elif "scaler.pt" in names:
        found.kept("scaler", "scaler")
    else:
        found.lost("scaler", "scaler", "the folder has none")


def _has(names: List[str], starts: Tuple[str, ...]) -> bool:
    return any(name.startswith(start) for name in names for start in starts)


def _weight_files(folder: str) -> List[str]:
    if not os.path.isdir(folder):
        return []
    names = os.listdir(folder)
    return [name for name in names if name in _WEIGHTS or name.endswith(_INDEX)]


def left_out(folder: str, model: Any) -> Dict[str, Any]:
    """Parameters and buffers that the folder's weights do not hold under their names: what is trained beside an adapter,
    layers that the model's class leaves out, buffers that it does not count as state."""
    held = _names_in(folder)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    is_adapter = any(name.startswith("adapter_model") for name in os.listdir(folder))
    left: Dict[str, Any] = {}
    for name, tensor in tensors.items():
        if is_adapter and not tensor.requires_grad and name in dict(model.named_parameters()):
            continue  # Frozen, and loaded by the script itself.
        if name not in held and _has_bytes(tensor):
            left[name] = tensor
    return left


def _has_bytes(tensor: Any) -> bool:
    return tensor.device.type != "meta" and not hasattr(tensor, "placements") and tensor.numel() > 0


def _names_in(folder: str) -> List[str]:
    """Names of tensors in the folder's safetensors; of other files none are known."""
    found: List[str] = []
    for name in os.listdir(folder):
        if name.endswith(".safetensors") and not name.startswith("adapter_model"):
            with open(os.path.join(folder, name), "rb") as file:
                (size,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(size))
            found += [key for key in header if key != "__metadata__"]
    return found


def put_back_left_out(model: Any, saved: Mapping[str, Any]) -> List[str]:
    """Puts back what ``left_out`` gave. Returns names that the model does not have."""
    import torch

    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    missing = []
    with torch.no_grad():
        for name, value in saved.items():
            if name in tensors and tensors[name].shape == value.shape:
                tensors[name].copy_(value)
            else:
                missing.append(name)
    return missing


def move(source: str, target: str) -> None:
    """Moves what ``write`` has written into a checkpoint's folder."""
    for name in os.listdir(source):
        os.rename(os.path.join(source, name), os.path.join(target, name))


# ---- what equal states have in common ----


def sum_of(target: str) -> str:
    """Hashes the state in a checkpoint's folder: what files hold, and not how they are written, or how long things took."""
    import torch

    folder = folder_in(target)
    digest = hashlib.sha256()
    for at, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(at, name)
            digest.update(os.path.relpath(path, folder).encode())
            if name == OWN_FILE:
                _add(digest, ptread.read(path))
            elif name == _STATE:
                with open(path, encoding="utf-8") as file:
                    _add(digest, _without_times(json.load(file)))
            elif name.endswith((".pt", ".pth", ".bin")) and name != "training_args.bin":
                _add(digest, _read(torch, path))
            elif name.endswith(".safetensors"):
                _add_file(digest, path)
    return digest.hexdigest()


def _read(torch: Any, path: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception:
        # Classes of others, or no zip file: its bytes, then.
        with open(path, "rb") as file:
            return file.read()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        digest.update(b"{")
        for key, item in value.items():
            digest.update(repr(key).encode())
            _add(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(b"[")
        for item in value:
            _add(digest, item)
    elif hasattr(value, "untyped_storage"):
        flat = value.detach().contiguous().reshape(-1)
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(ptfile.bytes_of(flat.view(dtype=_uint8())) if flat.numel() else b"")
    elif hasattr(value, "tobytes"):
        digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    else:
        digest.update(value if isinstance(value, bytes) else repr(value).encode())


def _uint8() -> Any:
    import torch

    return torch.uint8


def _add_file(digest: Any, path: str) -> None:
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(16 << 20), b""):
            digest.update(piece)


def _without_times(state: Dict[str, Any]) -> Dict[str, Any]:
    history = [{name: value for name, value in entry.items() if not name.endswith(_TIMES)} for entry in state.get("log_history", ())]
    best = state.get("best_model_checkpoint")
    return {**state, "log_history": history, "best_model_checkpoint": best and os.path.basename(best)}
