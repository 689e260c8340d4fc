"""Files of a state: written, read by a resume's reader, and read by torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainstash import ptfile
from trainstash.staging import Staging

pytestmark = pytest.mark.oldest


def test_a_file_that_breaks_off_is_refused_with_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    ptfile.write(Staging().copy({"weight": torch.ones(1000)}).state, str(path))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError):
        ptfile.read(str(path))


def test_what_is_written_is_read_by_the_resume_and_by_torch(tmp_path: Path) -> None:
    path = str(tmp_path / "state.pt")
    weight = torch.randn(5, 7).t()
    ptfile.write(Staging().copy({"weight": weight, "tied": weight}).state, path)
    for state in (ptfile.read(path), torch.load(path)):
        assert torch.equal(state["weight"], weight)
        assert state["weight"].stride() == weight.stride()
        assert state["tied"].data_ptr() == state["weight"].data_ptr()
