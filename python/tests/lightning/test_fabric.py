"""The three lines in a loop with Lightning Fabric."""

from __future__ import annotations

from pairs import Training, differences, each_steps

from trainings import HERE


def test_loaders_that_fabric_has_set_up_keep_their_place(launcher, folder):
    training = Training(launcher, folder, str(HERE / "scripts" / "fabric.py"), each_steps(1))
    whole, killed, resumed = training.pair(21)
    assert differences(whole, resumed) == []
    for launch in (killed, resumed):
        assert launch.newest().grade == "complete", launch.newest().missing
