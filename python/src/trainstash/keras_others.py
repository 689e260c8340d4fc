"""The other callbacks of a ``fit``: what they have counted and found best goes into a checkpoint, and back."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from . import keras_objects

_FOLDER = "trainstash/callbacks/"
#: Attributes that Keras itself sets in every callback.
_OF_KERAS = ("params", "_model", "model", "validation_data", "_supports_tf_logs", "_chief_worker_only")
#: Logs of these are pictures of a training, and its own state is not in them.
_DISPLAYS = ("ProgbarLogger", "TensorBoard", "RemoteMonitor")
_MOST_LOG_BYTES = 16 << 20

State = Dict[str, Any]


class Others:
    """All callbacks but ours, in the order of the list."""

    def __init__(self, callbacks: List[Any]) -> None:
        #: The same.
        self.callbacks = [one for one in callbacks if not type(one).__module__.startswith("trainstash")]
        self._before = [self._read(one, whole=True) for one in self.callbacks]

    def state(self) -> Tuple[List[State], Dict[str, Any], List[Tuple[str, str]]]:
        """Collects what has changed in the callbacks since the training began.

        Returns:
            A record for each, the arrays that the records refer to, and pairs of a callback and why a part of it is lost.
        """
        records: List[State] = []
        arrays: Dict[str, Any] = {}
        lost: List[Tuple[str, str]] = []
        for i, (one, before) in enumerate(zip(self.callbacks, self._before)):
            read = self._read(one, whole=False)
            changed = read.changed_since(before)
            folder = f"{_FOLDER}{i}.{type(one).__name__}/"
            arrays.update({f"{folder}{key}": array for key, array in changed.arrays.items()})
            records.append({"class": type(one).__name__, "values": changed.values, "log": _log_of(one)})
            lost += [(f"{type(one).__name__}.{name}", why) for name, why in changed.lost]
        return records, arrays, lost

    def names(self) -> List[str]:
        """Names the callbacks that have a state worth naming."""
        return [type(one).__name__ for one in self.callbacks if type(one).__name__ not in ("History", *_DISPLAYS)]

    def put_back(self, records: List[State], arrays: Mapping[str, Any]) -> Iterator[Tuple[str, str]]:
        """Sets what the callbacks of a checkpoint had. Yields what could not be set: pairs of a callback and the reason."""
        for i, (one, record) in enumerate(_matched(self.callbacks, records)):
            if one is None:
                yield record["class"], "the script has no such callback any more"
                continue
            prefix = f"{_FOLDER}{i}.{record['class']}/"
            own = {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
            for name, why in keras_objects.put_back(one, record["values"], own):
                yield f"{record['class']}.{name}", why
            _forget_writer(one)

    def _read(self, one: Any, whole: bool) -> keras_objects.Attributes:
        is_of_keras = type(one).__module__.startswith("keras.") and type(one).__name__ != "LambdaCallback"
        if is_of_keras and type(one).__name__ in _DISPLAYS:
            return keras_objects.Attributes({}, {}, [], {}, True)
        ignored = (*_OF_KERAS, "csv_file", "writer", "append", "append_header") if _is_logger(one) else _OF_KERAS
        if hasattr(one, "_set_monitor_op"):
            # Keras sets them when it learns which values are better, in the first epoch of every process.
            ignored = (*ignored, *(name for name in ("min_delta", "monitor_op") if not _is_named_by_script(type(one), name)))
        return keras_objects.attributes_of(one, ignored, trusts_opaque=is_of_keras, whole=whole)


def keep_logs(callbacks: List[Any], records: List[State]) -> None:
    """Gives CSVLogger the file of the checkpoint, to go on with. Its own ``on_train_begin`` empties that."""
    for one, record in _matched(callbacks, records):
        log = record.get("log")
        if one is None or log is None or not _is_logger(one):
            continue
        path = str(one.filename)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(log)
        # Or it would begin the file anew.
        one.append = True
        if one.csv_file is not None and not one.csv_file.closed:
            one.on_train_begin()


def _matched(callbacks: List[Any], records: List[State]) -> Iterator[Tuple[Optional[Any], State]]:
    """Finds the callback of each record: the n-th of its class."""
    left = [one for one in callbacks if not type(one).__module__.startswith("trainstash")]
    for record in records:
        found = next((one for one in left if type(one).__name__ == record["class"]), None)
        if found is not None:
            left.remove(found)
        yield found, record


def _is_named_by_script(kind: type, name: str) -> bool:
    """Tells whether a method that is not of Keras uses an attribute."""
    own = [method for cls in kind.__mro__ if not cls.__module__.startswith("keras.") for method in vars(cls).values()]
    return any(name in code.co_names for code in (getattr(method, "__code__", None) for method in own) if code is not None)


def _is_logger(one: Any) -> bool:
    return any(kind.__name__ == "CSVLogger" and kind.__module__.startswith("keras.") for kind in type(one).__mro__)


def _log_of(one: Any) -> Optional[str]:
    if not _is_logger(one):
        return None
    try:
        if one.csv_file is not None and not one.csv_file.closed:
            one.csv_file.flush()
        if os.path.getsize(one.filename) > _MOST_LOG_BYTES:
            return None
        with open(one.filename, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, ValueError):
        return None


def _forget_writer(one: Any) -> None:
    if _is_logger(one):
        # It makes one with the keys that were put back, at the next row.
        one.writer = None
