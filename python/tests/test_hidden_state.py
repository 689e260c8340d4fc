"""State that functions, hooks, networks and data sets keep for themselves: a checkpoint without it is partial, and names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import NEVER, Launcher, Training, differences
from trainstash.hidden import ReadState

KINDS = {
    "global": "`COUNT`", "default": "`the defaults of by_list[0]`", "attribute": "`by_attribute.n`", "closure": "`n of made.<locals>.by_closure`",
    "teacher": "`TEACHERS[0].weight`", "entropy": "`urandom`", "partial": "`work.args[0]`", "generator": "`work`", "property": "`holder.inner[0]`",
    "hook": "`COUNT`", "module": "`model.2.p`", "data": "`read` of its data set", "data in workers": "its workers change `read`",
    "append": "its workers change `items`", "item": "its workers change `SCALES`", "default in workers": "its workers change `seen`",
    "out": "its workers change `SCALES`", "set": "its workers change `last`", "given": "its workers change `items`",
    "data's generator": "of its data set", "data's global": "`COUNT`", "sampler": "`Passes.passes`",
}  # fmt: skip

#: Where they keep it.
GROUPS = {
    "functions": ["global", "default", "attribute", "closure", "partial", "generator", "property"], "networks": ["teacher", "module"], "hooks": ["hook"],
    "the system": ["entropy"], "data": ["data", "data's generator", "data's global", "sampler"],
    "workers": ["data in workers", "append", "item", "default in workers", "out", "set", "given"],
}  # fmt: skip


@pytest.mark.sample(each=lambda params: next(kind for kind, names in GROUPS.items() if params["how"] in names))
@pytest.mark.parametrize("how", KINDS)
def test_what_starts_again_is_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    training = Training(launcher, tmp_path, "hidden_state", NEVER, HOW=how)
    killed = training.launch(KILL=20)
    assert killed.was_killed, killed.output
    assert killed.newest().grade == "partial"
    assert KINDS[how] in killed.newest().missing


@pytest.mark.sample(count=2)
@pytest.mark.parametrize("how", ["none", "touchy", "workers"])
def test_without_any_it_is_exact(launcher: Launcher, tmp_path: Path, how: str) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "hidden_state", NEVER, HOW=how).pair(20)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []


WAYS = {
    "lru": "`of_weights`",
    "clock": "`time` gives another value in each process, which the training depends on", "set": "`WORDS` is a set",
    "globals": "`COUNT`", "setattr": "`holder.n`", "module": "`settings.COUNT`", "weakref": "`held.n`", "cached": "`holder.scale`", "optimizer": "`optimizer.calls`",
    "group of another": "optimizer (parameters of no tracked network", "layer": "model.4 (it was added", "method": "model (it was added",
}  # fmt: skip


@pytest.mark.sample(count=4)
@pytest.mark.parametrize("how", WAYS)
def test_what_is_changed_by_other_ways_is_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    killed = Training(launcher, tmp_path, "changed_while_training", NEVER, HOW=how).launch(KILL=20)
    assert killed.was_killed, killed.output
    assert killed.newest().grade == "partial"
    assert WAYS[how] in killed.newest().missing


@pytest.mark.sample(count=2)
@pytest.mark.parametrize("how", ["frozen", "evaluating", "group", "pure"])
def test_modes_and_groups_are_put_back_and_pure_values_computed_again(launcher: Launcher, tmp_path: Path, how: str) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "changed_while_training", NEVER, HOW=how).pair(20)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []


def test_a_group_that_an_epoch_adds_at_its_beginning_is_added_once(launcher: Launcher, tmp_path: Path) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "changed_while_training", NEVER, HOW="group of an epoch").pair(20)
    assert "that twice" in killed.newest().missing
    assert [one for one in differences(whole, resumed) if not one.startswith(".trainstash.detours")] == []


def test_the_epoch_that_a_function_reads_is_no_hidden_state(launcher: Launcher, tmp_path: Path) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, "epoch_of_the_outer_loop", NEVER).pair(40)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []


class Hostile:
    """An object that cannot be looked into at all."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("no class")


def test_what_cannot_be_looked_into_ends_nothing() -> None:
    read = ReadState({"data set": Hostile(), "sampler": [1, 2]}, [], has_workers=False)
    assert read.lacks() == "nobody can tell whether it changes while it is read (RuntimeError)"
