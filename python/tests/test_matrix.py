"""A sample of the generated matrix; `npm run matrix` draws on."""

from __future__ import annotations

from matrix.__main__ import Matrix
from matrix.spaces.torch import SPACE

# The same in each run of the tests: what another seed finds is found by the matrix itself.
SEED = 3
COMBINATIONS = 24


def test_killed_trainings_are_resumed_to_the_same_bits_or_say_why_not() -> None:
    matrix = Matrix(SPACE, SEED, minutes=5, count=COMBINATIONS, only=None)
    matrix.run(jobs=1)
    print(matrix.tally.summary())
    figures = matrix.tally.figures()
    assert figures["combinations"] >= COMBINATIONS
    assert (figures["different and complete"], figures["not resumed"]) == (0, 0), matrix.tally.summary()
