"""What is in a checkpoint of Lightning: which part is of which kind, and what two equal trainings have in common."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional


class Places:
    """Knows the places of Lightning's checkpoint."""

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
    """What early stopping or the best model goes by."""
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
