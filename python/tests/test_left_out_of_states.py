"""State that a ``state_dict`` leaves out, that takes another object's place, or that only functions read: a checkpoint without it
is partial, and names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import NEVER, Launcher, Training, differences

KINDS = {
    "average": "`average.n` starts again", "replaced network": "`teacher` was not given to init", "tracked and replaced network": "`teacher` was not given to init",
    "optimizer inside": "`optimizer.base.state`", "hidden of a layer": "`model.4.hidden`",
    "hidden that is made late": "`model.4.hidden`", "weights of a sampler": "`sampler.weights` of its sampler changes",
    "part of the data": "`indices[0]` of its data set changes", "data": "tensors[0]`",
}  # fmt: skip


@pytest.mark.sample(count=3)
@pytest.mark.parametrize("how", KINDS)
def test_what_a_state_dict_leaves_out_is_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    killed = Training(launcher, tmp_path, "left_out_of_states", NEVER, HOW=how).launch(KILL=37)
    assert killed.was_killed, killed.output
    assert killed.newest().grade == "partial"
    assert KINDS[how] in killed.newest().missing


@pytest.mark.sample(count=1)
@pytest.mark.parametrize("how", ["none", "copy for a look"])
def test_what_is_told_or_computed_again_is_exact(launcher: Launcher, tmp_path: Path, how: str) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "left_out_of_states", NEVER, HOW=how).pair(37)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []


READ = {"list": "`bank`", "set": "`seen`", "array": "`ages`", "dict": "`masks`", "scalar": "`tau`"}


@pytest.mark.sample(count=2)
@pytest.mark.parametrize("how", READ)
def test_what_the_loop_sets_and_only_functions_read_is_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    killed = Training(launcher, tmp_path, "read_by_functions", NEVER, HOW=how).launch(KILL=37)
    assert killed.was_killed, killed.output
    assert killed.newest().grade == "partial"
    assert f"{READ[how]} starts again" in killed.newest().missing


def test_what_a_round_sets_before_its_functions_read_it_is_no_state(launcher: Launcher, tmp_path: Path) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "read_by_functions", NEVER, HOW="set by each round").pair(37)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []
