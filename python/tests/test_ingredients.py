"""A grade is read off the list of ingredients."""

import pytest

from trainstash.findings import UNTRACKED_OBJECT, clause
from trainstash.ingredients import KINDS, Ingredients, grade_of, missing_of


def every_kind_looked_for() -> Ingredients:
    found = Ingredients()
    for kind in KINDS[:-1]:
        found.absent(kind, kind)
    return found


def test_a_kind_nobody_looked_for_makes_it_partial_and_is_named():
    found = Ingredients()
    found.kept("weights", "model")
    found.kept("optimizer", "optimizer")
    records = found.records()
    assert grade_of(records) == "partial"
    assert "random (nothing looked for it)" in missing_of(records)


def test_complete_needs_each_kind_kept_or_absent():
    found = every_kind_looked_for()
    found.kept("weights", "model")
    assert grade_of(found.records()) == "complete"
    found.lost("scaler", "scaler", "it was off")
    assert grade_of(found.records()) == "weights only"
    found.kept("optimizer", "optimizer")
    assert grade_of(found.records()) == "partial"


def test_what_is_lost_is_never_kept_again_and_gathers_reasons():
    found = Ingredients()
    found.lost("data", "loader 0", "one")
    found.kept("data", "loader 0")
    found.lost("data", "loader 0", "two")
    found.lost("data", "loader 0", "two")
    assert [r["why"] for r in found.records() if r["name"] == "loader 0"] == ["one; two"]


def test_loop_variables_read_as_a_sentence():
    found = every_kind_looked_for()
    found.lost("loop", "`total`, `hist`", "start again on a resume", "train.py:12")
    assert missing_of(found.records()) == ["`total`, `hist` start again on a resume (train.py:12)"]


def test_what_has_a_page_reads_as_a_sentence_too():
    found = every_kind_looked_for()
    found.lost("optimizer", "`other`", clause(UNTRACKED_OBJECT), "train.py:3", UNTRACKED_OBJECT)
    assert missing_of(found.records()) == ["`other` was not given to init, so a resume starts it anew (train.py:3)"]
    other = Ingredients()
    other.add(found)
    assert [r["code"] for r in other.records() if r["state"] == "lost"] == ["untrackedObject"]


def test_an_unknown_kind_is_a_mistake_of_ours():
    with pytest.raises(ValueError):
        Ingredients().kept("wieghts", "model")
