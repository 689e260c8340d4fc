"""The three lines in a loop with Lightning Fabric."""

from __future__ import annotations

from pairs import Training, differences, each_steps


def test_loaders_that_fabric_has_set_up_keep_their_place(launcher, folder):
    training = Training(launcher, folder, "../lightning/scripts/fabric", each_steps(1))
    whole, killed, resumed = training.pair(21)
    assert differences(whole, resumed) == []
    for launch in (killed, resumed):
        assert launch.newest().grade == "complete", launch.newest().missing
