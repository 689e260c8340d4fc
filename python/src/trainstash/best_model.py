"""The best model so far of Transformers' Trainer: a folder of its own, which `load_best_model_at_end` loads when training ends."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, Optional

from .files import copy_file

#: The folder of the best model in a checkpoint, beside the checkpoint's own folder.
_BEST = "best"
_STATE = "trainer_state.json"
# Files of the best model's folder that nobody resumes from, and that are large.
_NOT_OF_BEST = ("optimizer", "scheduler", "scaler", "rng_state", "trainstash.pt", "global_step", "pytorch_model_fsdp")


def keep(state: Any, target: str, folder: str) -> None:
    """Copies the weights of the best model so far, which `load_best_model_at_end` loads from the output folder."""
    best = state.best_model_checkpoint
    if not best or not os.path.isdir(best) or os.path.basename(best) == os.path.basename(folder):
        return
    inside = os.path.join(target, _BEST, os.path.basename(best))
    shutil.copytree(best, inside, ignore=lambda _, names: [one for one in names if one.startswith(_NOT_OF_BEST)], copy_function=copy_file)


def put_back(args: Any, restored: str, folder: str) -> Optional[str]:
    """Puts the best model's folder back where the Trainer looks for it, and never over one that is there.

    Returns:
        What people should know; None: nothing.
    """
    path = os.path.join(folder, _STATE)
    with open(path, encoding="utf-8") as file:
        state = json.load(file)
    best = state.get("best_model_checkpoint")
    if not best:
        return None
    name = os.path.basename(best)
    source = os.path.join(restored, _BEST, name)
    if name == os.path.basename(folder):
        source = folder
    if not os.path.isdir(source):
        return None if os.path.isdir(best) else f"the best model, {best}, is gone and was not kept"
    wanted = os.path.join(args.output_dir, name)
    if not os.path.isdir(wanted):
        os.makedirs(args.output_dir, exist_ok=True)
        shutil.copytree(source, wanted, copy_function=copy_file)
    said = None
    if not _same_weights(source, wanted):
        said = f"{wanted} holds another model than the best one of this run, which is used from {source}"
        wanted = source
    state["best_model_checkpoint"] = wanted
    with open(path, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=2)
    return said


def _same_weights(a: str, b: str) -> bool:
    names = [name for name in os.listdir(a) if name.endswith((".safetensors", ".bin")) and name != "training_args.bin"]
    return all(_same_bytes(os.path.join(a, name), os.path.join(b, name)) for name in names)


def _same_bytes(a: str, b: str) -> bool:
    if not os.path.exists(b) or os.path.getsize(a) != os.path.getsize(b):
        return False
    with open(a, "rb") as first, open(b, "rb") as second:
        while True:
            x, y = first.read(1 << 20), second.read(1 << 20)
            if x != y:
                return False
            if not x:
                return True
