"""The first steps after a checkpoint are noted, and a resume that computes something else says so at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pairs import Launcher, Training
from trainstash.fingerprints import sample


@pytest.mark.parametrize(
    ("how", "says", "kind"),
    [
        ("random", "the random numbers of step 21 are others", "random"),
        ("rate", "the learning rate of step 21 is another (0.01 before, 0.5 now)", "schedule"),
        ("weights", "loss of step 22 is another (", "other"),
    ],
)
def test_the_first_difference_is_named(launcher: Launcher, tmp_path: Path, how: str, says: str, kind: str) -> None:
    training = Training(launcher, tmp_path, "tampered", HOW="")
    went_on = training.launch(KILL=60, CHECKPOINT_AT=20)
    tampered = training.launch(resume=next(one for one in went_on.checkpoints() if one.facts["step"] == 20), HOW=how)
    assert [event["text"] for event in tampered.events("diverged")] and says in tampered.events("diverged")[0]["text"]
    assert tampered.events("diverged")[0]["ingredient"] == kind
    assert says in tampered.newest().missing


def test_a_resume_that_is_exact_says_nothing(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, "tampered", HOW="")
    went_on = training.launch(KILL=60, CHECKPOINT_AT=20)
    resumed = training.launch(resume=next(one for one in went_on.checkpoints() if one.facts["step"] == 20))
    assert resumed.events("diverged") == []
    assert resumed.newest().grade == "complete"


def test_a_batch_is_told_from_another_whatever_it_is_made_of() -> None:
    def of(batch: object) -> str:
        digest = hashlib.blake2b(digest_size=8)
        sample(batch, digest)
        return digest.hexdigest()

    one = {"x": torch.ones(3, 4), "y": [np.arange(5), "text", 3]}
    other = {"x": torch.ones(3, 4), "y": [np.arange(5), "text", 4]}
    assert of(one) == of({"x": torch.ones(3, 4), "y": [np.arange(5), "text", 3]}) != of(other)
    assert of(torch.zeros(4, 4).t()) != of(torch.ones(4, 4).t())
    assert of(torch.empty(0)) == of(torch.empty(0))
    assert of([object()]) == of([object()])
