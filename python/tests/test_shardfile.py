"""The index of a folder of shards, read without running anything in it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Tuple

import pytest

torch = pytest.importorskip("torch", minversion="2.6")
from torch.distributed.checkpoint import metadata  # noqa: E402

from trainstash.shardfile import open_reader  # noqa: E402


class Looked:
    """Pickles as ``getattr(owner, name)``, as Python 3.11.0 to 3.11.3 do with a member of an enumeration."""

    def __init__(self, owner: Any, name: str) -> None:
        self._looked = (owner, name)

    def __reduce__(self) -> Tuple[Any, ...]:
        return getattr, self._looked


def folder(path: Path, looked: Looked) -> str:
    properties = metadata.TensorProperties(dtype=torch.float32)
    entry = metadata.TensorStorageMetadata(properties=properties, size=torch.Size([1]), chunks=[])
    index = metadata.Metadata(state_dict_metadata={"w": entry}, planner_data=looked, storage_data={})
    (path / ".metadata").write_bytes(pickle.dumps(index))
    return str(path)


def test_a_member_of_an_enumeration_is_read_in_each_form_that_python_pickles_it(tmp_path: Path) -> None:
    reader = open_reader(folder(tmp_path, Looked(metadata._MEM_FORMAT_ENCODING, "TORCH_CONTIGUOUS_FORMAT")))
    assert reader.keys() == {"w"}


@pytest.mark.parametrize("name", ["__init__", "__class__", "mro", "_missing_"])
@pytest.mark.parametrize("owner", [metadata._MEM_FORMAT_ENCODING, metadata.Metadata], ids=["an enumeration", "a class"])
def test_no_other_attribute_is_looked_up(owner: Any, name: str, tmp_path: Path) -> None:
    if not hasattr(owner, name):
        pytest.skip("there is no such attribute")
    with pytest.raises(ValueError, match="looks up an attribute"):
        open_reader(folder(tmp_path, Looked(owner, name)))
