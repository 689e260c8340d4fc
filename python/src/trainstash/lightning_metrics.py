"""Metrics that a module logs: which of them are new, and the sums that Lightning keeps of them over an epoch."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Set

_METRIC_FIELDS = ("value", "cumulated_batch_size", "has_reset", "_forward_cache", "_computed", "_update_count")

class ResultSums:
    """The sums of the metrics that are logged over an epoch, of one result collection of Lightning."""

    def __init__(self, results: Any, note: Callable[[str, bool, bool], None]) -> None:
        self._results = results
        self._pending: Dict[str, Any] = {}
        self._settled: List[str] = []
        self._log = results.log
        self._note = note
        results.log = self._logged

    def close(self) -> None:
        self._results.__dict__.pop("log", None)

    def state(self) -> Dict[str, Any]:
        """Collects the sums, as far as they are of tensors: objects of torchmetrics are the module's."""
        found = dict(self._pending)
        for key, metric in self._results.items():
            if metric.is_tensor and not metric.has_reset:
                meta = metric.meta
                found[key] = {
                    "fields": {name: getattr(metric, name, None) for name in _METRIC_FIELDS},
                    "meta": {name: getattr(meta, name) for name in ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch")},
                    "reduce": getattr(meta.reduce_fx, "__name__", ""),
                }
        return found

    def load(self, saved: Mapping[str, Any]) -> None:
        """Takes the sums of a checkpoint. Each is put in when the script logs the metric again: it says how."""
        self._pending = dict(saved)

    def settle(self) -> None:
        """Puts in the sums of metrics that the rest of the epoch did not log again."""
        pending, self._pending = self._pending, {}
        for key, saved in pending.items():
            if key in self._results or not self._results:
                continue
            sample = next(iter(self._results.values()))
            meta = type(sample.meta)(**saved["meta"], reduce_fx=saved["reduce"])
            meta.sync = type(sample.meta.sync)()
            self._results[key] = _fill(type(sample)(meta, True), saved["fields"])
            self._settled.append(key)

    def end_epoch(self) -> None:
        """Takes out again what was put in for the end of the epoch: how the script logs it is not known."""
        for key in self._settled:
            self._results.pop(key, None)
        self._settled = []

    def _logged(self, fx: str, name: str, *arguments: Any, **named: Any) -> None:
        before = set(self._results) if self._pending else None
        self._log(fx, name, *arguments, **named)
        self._note(name, bool(named.get("on_step")), bool(named.get("on_epoch")))
        if before is None:
            return
        for key in [key for key in self._pending if key in self._results and key not in before]:
            saved = self._pending.pop(key)
            metric = self._results[key]
            if metric.is_tensor:
                _fill(metric, saved["fields"])
                self._log(fx, name, *arguments, **named)


def _fill(metric: Any, fields: Mapping[str, Any]) -> Any:
    device = getattr(getattr(metric, "value", None), "device", None)
    for name, value in fields.items():
        if hasattr(metric, name):
            setattr(metric, name, value.to(device) if hasattr(value, "to") and device is not None else value)
    return metric


class NewMetrics:
    """The newest metrics that were logged since the last look: Lightning gives old and new ones together."""

    def __init__(self) -> None:
        self._trained: Set[str] = set()
        self._by_epoch: Set[str] = set()
        self._validated: Set[str] = set()
        self._before: Dict[str, Any] = {}

    def in_training(self, name: str, on_step: bool, on_epoch: bool) -> None:
        if on_step:
            self._trained.update((name, f"{name}_step"))
        if on_epoch:
            self._by_epoch.update((name, f"{name}_epoch") if not on_step else (f"{name}_epoch",))

    def in_validation(self, name: str, on_step: bool, on_epoch: bool) -> None:
        self._validated.update((name, f"{name}_epoch", f"{name}_step"))

    def arrived(self, metrics: Mapping[str, Any]) -> None:
        """Notes the metrics of a checkpoint, which are no news."""
        self._before = dict(metrics)

    def news(self, metrics: Mapping[str, Any], at_end: bool) -> Any:
        trained, validated = {}, {}
        noted = self._by_epoch if at_end else self._trained
        for name, value in metrics.items():
            base = name.partition("/dataloader_idx_")[0]
            if base in self._validated:
                validated[name] = value
            elif base in noted:
                trained[name] = value
            elif base not in self._by_epoch and base not in self._trained and self._before.get(name) is not value:
                trained[name] = value
        self._before = dict(metrics)
        self._validated = set()
        self._trained = set()
        if at_end:
            self._by_epoch = set()
        return trained, validated
