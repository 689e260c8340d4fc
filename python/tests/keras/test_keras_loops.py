"""Loops of a script's own: the three lines take Keras models and optimizers on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from fits import Server, Training, at, differences
from pairs import each_steps
from sampling import drawn, mostly_full

Give = Callable[[str], Server]


@pytest.mark.parametrize("backend", mostly_full(["tensorflow", "jax", "torch"], ["tensorflow"]))
def test_a_loop_goes_on_where_it_stood(server: Give, tmp_path: Path, backend: str) -> None:
    training = Training(server(backend), tmp_path, "loop", each_steps(3))
    whole = training.whole()
    for step in drawn((3, 12), 1):
        assert (at(whole, step).grade, at(whole, step).missing) == ("complete", "")
        resumed = training.resumed(at(whole, step))
        assert differences(whole.newest(), resumed.newest()) == []
        assert resumed.output.split("TOTAL")[1] == whole.output.split("TOTAL")[1]


def test_a_loop_whose_model_stays_as_it_was_is_named(server: Give, tmp_path: Path) -> None:
    whole = Training(server("jax"), tmp_path, "loop", each_steps(3), STALE=1).whole()
    assert whole.newest().grade != "complete"
    assert "no step has changed them" in whole.newest().missing
