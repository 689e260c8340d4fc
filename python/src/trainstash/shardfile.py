"""Reads the index of a folder that ``torch.distributed.checkpoint`` wrote. torch unpickles it; here nothing but the classes
of such an index can come out of it, and no code runs."""

from __future__ import annotations

import enum
import io
import os
import pickle
from collections import OrderedDict
from typing import Any, Dict, Set, Tuple

from .opcodes import check_numbers

_METADATA = ".metadata"
_CLASSES: Dict[str, Tuple[str, ...]] = {
    "torch.distributed.checkpoint.metadata": (
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch": ("Size", "device"),
    "torch.serialization": ("_get_layout",),
    "pathlib": ("Path", "PosixPath", "PurePosixPath"),
}


def open_reader(folder: str) -> Reader:
    """Reads a folder's index.

    Raises:
        ValueError: It is damaged, or holds something else.
        OSError: It cannot be read.
    """
    with open(os.path.join(folder, _METADATA), "rb") as file:
        try:
            pickled = file.read()
            check_numbers(pickled)
            index = _Unpickler(io.BytesIO(pickled)).load()
        except Exception as error:
            raise ValueError(f"the index of its shards cannot be read: {error}") from error
    return Reader(folder, index)


class Reader:
    """An index: which tensors there are, and in which file each part of them lies."""

    def __init__(self, folder: str, index: Any) -> None:
        from torch.distributed.checkpoint.metadata import Metadata

        if type(index) is not Metadata or not isinstance(index.storage_data, dict):
            raise ValueError("the index of its shards is none")
        self._folder = folder
        self._index = index

    def keys(self) -> Set[str]:
        return set(self._index.state_dict_metadata)

    def files(self) -> Set[str]:
        return {_METADATA, *(info.relative_path for info in self._index.storage_data.values())}

    def check(self) -> None:
        """Raises ValueError when a part is no tensor, or lies outside of the folder's files."""
        from torch.distributed.checkpoint.metadata import TensorStorageMetadata

        for key, entry in self._index.state_dict_metadata.items():
            if type(entry) is not TensorStorageMetadata:
                raise ValueError(f"{key} among its shards is no tensor")
        for info in self._index.storage_data.values():
            name = info.relative_path
            if os.path.basename(name) != name or info.transform_descriptors:
                raise ValueError(f"a part of its shards lies in {name}")
            if info.offset + info.length > os.path.getsize(os.path.join(self._folder, name)):
                raise ValueError(f"{name} among its shards breaks off")

    def for_torch(self) -> Any:
        """Returns the reader that torch loads with; it is given this index."""
        from torch.distributed.checkpoint import FileSystemReader

        index = self._index

        class Checked(FileSystemReader):  # type: ignore[misc]
            def read_metadata(self, *_: Any, **__: Any) -> Any:
                from torch.distributed.checkpoint.metadata import StorageMeta

                index.storage_meta = StorageMeta(load_id=self.load_id)
                return index

        return Checked(self._folder)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        import torch

        if name in _CLASSES.get(module, ()):
            found = super().find_class(module, name)
            if isinstance(found, type) or name == "_get_layout":
                return found
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("builtins", "getattr"):
            return _member
        if module == "torch" and isinstance(getattr(torch, name, None), (torch.dtype, torch.layout)):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which no index of shards does")


def _member(owner: Any, name: Any) -> Any:
    """Returns a member of an enumeration. Python 3.11.0 to 3.11.3 pickle one as ``getattr(its class, its name)``."""
    if isinstance(owner, enum.EnumMeta) and isinstance(name, str) and name in owner.__members__:
        return owner.__members__[name]
    raise pickle.UnpicklingError("it looks up an attribute, which no index of shards does")
