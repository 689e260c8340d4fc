"""A sample of the generated matrix; `npm run matrix` draws on."""

from __future__ import annotations

from matrix.__main__ import Matrix
from matrix.report import Tally
from matrix.spaces.torch import SPACE
from matrix.trial import DIFFERENT_COMPLETE, EQUAL_COMPLETE, EQUAL_PARTIAL, Outcome
from sampling import FULL

# The same in each run of the tests: what another seed finds is found by the matrix itself.
SEED = 3
COMBINATIONS = 24 if FULL else 8


def test_killed_trainings_are_resumed_to_the_same_bits_or_say_why_not() -> None:
    matrix = Matrix(SPACE, SEED, minutes=5, count=COMBINATIONS, only=None)
    matrix.run(jobs=1)
    print(matrix.tally.summary())
    figures = matrix.tally.figures()
    assert figures["combinations"] >= COMBINATIONS
    assert (figures["different and complete"], figures["not resumed"]) == (0, 0), matrix.tally.summary()


def test_a_variable_that_decided_nothing_counts_as_chance_and_any_other_cause_does_not() -> None:
    tally = Tally("torch", SEED)
    tally.add(0, {}, Outcome(EQUAL_COMPLETE, [], "", []))
    tally.add(1, {}, Outcome(EQUAL_PARTIAL, [], "", ["`best`, `bad` start again on a resume (train.py:71)"]))
    assert (tally.share(), tally.share_of_all(), tally.is_good()) == (1.0, 0.5, True)
    tally.add(2, {}, Outcome(EQUAL_PARTIAL, [], "", ["`best` starts again on a resume (train.py:71)", "the data of train.py:70 (it has no place)"]))
    assert (tally.share(), tally.is_good()) == (0.5, False)


def test_one_that_is_different_and_complete_is_never_good() -> None:
    tally = Tally("torch", SEED)
    tally.add(0, {}, Outcome(DIFFERENT_COMPLETE, [], "", []))
    assert not tally.is_good()
