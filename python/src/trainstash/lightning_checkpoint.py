"""The content of a Lightning checkpoint: the kind of each part, and what two equal trainings have in common."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Mapping, Optional

from . import ResumeError, ptread


#: Parts of which each process has its own, where metrics are not the same everywhere.
OF_EACH_RANK = ("callbacks", "lr_schedulers")


class Loaded:
    """A checkpoint that a fit goes on from.

    Args:
        path: Its ``state.pt``.
        rank: The rank of this process.

    Raises:
        ResumeError: It cannot be resumed exactly.
    """

    def __init__(self, path: str, rank: int) -> None:
        #: The part that Lightning is given.
        self.saved: Dict[str, Any] = ptread.read(path)
        #: The part that was added to it.
        self.own: Dict[str, Any] = self.saved.pop("trainstash", {})
        if self.own.get("format") != 2:
            raise ResumeError(f"{path} is of an older version of trainstash, whose checkpoints of Lightning cannot be resumed exactly. Nothing was trained.")
        for place in self.own.get("lost", []):
            # A callback whose state has holes would fail when it is given to it.
            for key in [key for key in self.saved.get("callbacks", {}) if place.startswith(f"callbacks.{key}")]:
                del self.saved["callbacks"][key]
        self.world = len(self.own["ranks"])
        #: The part of this rank; empty for one that was not there.
        self.state: Dict[str, Any] = self.own["ranks"][rank] if rank < self.world else {}
        if rank > 0:
            self.saved.update(self.state.get("own", {}))

    def loops(self) -> Mapping[str, Any]:
        """Copies the counts of the loops."""
        counts: Mapping[str, Any] = copy.deepcopy(self.saved["loops"]["fit_loop"])
        return counts


def is_cast(module: Any, weights: Mapping[str, Any]) -> bool:
    """Tells whether weights have another dtype than the module has while they are loaded."""
    now = module.state_dict()
    return any(name in now and getattr(now[name], "dtype", None) != getattr(value, "dtype", None) for name, value in weights.items())


class Places:
    """The owner of the places in Lightning's checkpoint."""

    _KINDS = (("state_dict", "weights"), ("optimizer_states", "optimizer"), ("lr_schedulers", "schedule"), ("callbacks", "callback"), ("loops", "loop"))

    def kind_of(self, place: str) -> str:
        return next((kind for start, kind in self._KINDS if place.startswith(start)), "other")

    def is_vital(self, place: str) -> bool:
        return place.startswith(("state_dict", "optimizer_states"))


def params_of(module: Any) -> Dict[str, Any]:
    try:
        return dict(module.hparams)
    except Exception:
        return {}


def monitor_of(callbacks: List[Any]) -> Optional[Dict[str, str]]:
    """Finds the metric that early stopping or the best model goes by."""
    for wanted in ("EarlyStopping", "ModelCheckpoint"):
        for callback in callbacks:
            if any(cls.__name__ == wanted for cls in type(callback).__mro__) and getattr(callback, "monitor", None):
                mode = getattr(callback, "mode", "min")
                return {"metric": str(callback.monitor), "mode": mode if mode in ("min", "max") else "min"}
    return None


def drop_odd_hyper_parameters(checkpoint: Dict[str, Any]) -> List[str]:
    """Leaves out of the file what would come back as something else. Returns the names."""
    dropped: List[str] = []
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):
        values = checkpoint.get(key)
        if isinstance(values, Mapping):
            plain = {name: value for name, value in values.items() if _is_plain(value, 0)}
            dropped += [f"`{name}`" for name in values if name not in plain]
            checkpoint[key] = plain
            checkpoint.pop("hparams_type" if key == "hyper_parameters" else "", None)
    return dropped


def _is_plain(value: Any, depth: int) -> bool:
    if value is None or type(value) in (bool, int, float, str) or type(value).__name__ == "Tensor":
        return True
    if depth < 6 and type(value) in (list, tuple):
        return all(_is_plain(item, depth + 1) for item in value)
    if depth < 6 and type(value) is dict:
        return all(type(key) in (str, int) and _is_plain(item, depth + 1) for key, item in value.items())
    return False


def own_terms(state: Mapping[str, Any]) -> Optional[Any]:
    """Leaves out of a checkpoint what two equal trainings do not have in common: paths, times, and what is only shown."""
    left_out = ("pytorch-lightning_version", "hyper_parameters", "datamodule_hyper_parameters", "callbacks")
    callbacks = {
        key: value for key, value in state.get("callbacks", {}).items() if not str(key).startswith(("ModelCheckpoint", "Timer", "Throughput"))
    }
    own = dict(state["trainstash"])
    ranks = [
        {name: value for name, value in one.items() if name not in ("attributes", "checkpoints", "metrics")} for one in own.pop("ranks")
    ]
    plain = {name: value for name, value in state.items() if name not in (*left_out, "trainstash")}
    return {**plain, "callbacks": callbacks, "ranks": ranks, "seed": own["seed"]}
