"""``paddle.Model.fit``, killed or paused anywhere and resumed, is to the bit what it is when nothing happens."""

from pathlib import Path
from typing import Any

import pytest
from pairs import EACH_EPOCH, NEVER, Checkpoint, Launch, Launcher, Training, differences, each_steps
from sampling import full

SCRIPT = str(Path(__file__).parent / "scripts" / "fit.py")


def final(output: str) -> str:
    return next(line for line in output.splitlines() if line.startswith("FINAL"))


PLAIN: Any = {}
RICH = {"NET": "dropout", "OPTIMIZER": "warmup", "CALLBACKS": "eval stopping metrics verbose"}
DRAWING = {"NET": "noisy", "DATA": "augment paddle-draws counts", "OPTIMIZER": "momentum", "CALLBACKS": "epochs count"}
WORKERS = {"DATA": "loader workers augment", "CALLBACKS": "accumulate plateau eval last"}


def named(words: Any) -> str:
    return " ".join(words.values()) or "plain"


def check(whole: Launch, resumed: Launch, taken: Checkpoint) -> None:
    assert differences(whole, resumed) == []
    assert final(whole.output) == final(resumed.output)
    assert taken.grade == "complete", taken.missing


def few(first: Any, *others: Any) -> Any:
    return [first, *(pytest.param(one, marks=full) for one in others)]


@pytest.mark.parametrize("words", [PLAIN, *few(WORKERS, DRAWING, RICH)], ids=named)
def test_a_fit_that_is_killed_inside_of_an_epoch_goes_on_from_that_batch(launcher: Launcher, tmp_path: Path, words: Any) -> None:
    training = Training(launcher, tmp_path, SCRIPT, each_steps(3), **words)
    whole, killed, resumed = training.pair(8)
    assert killed.newest().facts["batch"] == 1
    check(whole, resumed, killed.newest())


@pytest.mark.parametrize("words", few(RICH, DRAWING), ids=named)
@pytest.mark.parametrize("place", few("eval", "begin", "epoch", "batch"))
def test_a_fit_that_is_killed_around_an_epochs_end_goes_on_as_if_it_had_not(launcher: Launcher, tmp_path: Path, words: Any, place: str) -> None:
    if place == "eval" and "eval" not in words["CALLBACKS"]:
        pytest.skip("it validates nothing")
    training = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH, KILL_IN=place, **words)
    whole, killed, resumed = training.pair(10)
    assert killed.newest().facts["step"] == (10 if place == "begin" else 5)
    check(whole, resumed, killed.newest())


@pytest.mark.parametrize("step", few(10, 7))
def test_a_pause_is_taken_where_it_is_exact(launcher: Launcher, tmp_path: Path, step: int) -> None:
    training = Training(launcher, tmp_path, SCRIPT, NEVER, **RICH)
    whole = training.launch()
    paused = training.launch(PAUSE=step)
    exit = paused.exit()
    assert exit is not None and exit["outcome"] == "paused" and paused.newest().facts["step"] == step
    check(whole, training.launch(resume=paused.newest()), paused.newest())


def test_a_finished_fit_trains_nothing_more_and_only_the_epochs_that_are_added(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH)
    whole = training.launch()
    again = training.launch(resume=whole.newest())
    assert again.code == 0 and again.log() == {}
    more = training.launch(resume=whole.newest(), EPOCHS=5)
    assert list(more.log()) == list(range(16, 26))
    assert more.events("started")[0]["totalSteps"] == 25


def test_early_stopping_counts_on(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH, EPOCHS=9, OPTIMIZER="rising", CALLBACKS="eval stopping")
    whole, killed, resumed = training.pair(12)
    assert max(whole.log()) < 45
    check(whole, resumed, killed.newest())
    assert training.launch(resume=whole.newest()).log() == {}


@full
def test_a_number_of_iterations_counts_on(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, each_steps(3), ITERS=12)
    check(*training.pair(8)[::2], training.launch().newest())


@pytest.mark.parametrize("kill", few(23, 8))
def test_each_of_two_fits_goes_on_where_it_was(launcher: Launcher, tmp_path: Path, kill: int) -> None:
    training = Training(launcher, tmp_path, SCRIPT, each_steps(3), FITS="twice", DATA="augment")
    whole, killed, resumed = training.pair(kill)
    check(whole, resumed, killed.newest())


def test_a_data_set_that_counts_goes_on_in_the_next_fit(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH, FITS="twice", DATA="loader counts")
    whole, killed, resumed = training.pair(17)
    assert killed.newest().facts["step"] == 15
    check(whole, resumed, killed.newest())


@pytest.mark.parametrize("net", few("same", ""))
def test_names_that_paddle_makes_up_may_move(launcher: Launcher, tmp_path: Path, net: str) -> None:
    training = Training(launcher, tmp_path, SCRIPT, each_steps(3), NET=net, EARLIER=1)
    whole, killed, resumed = training.pair(8)
    check(whole, resumed, killed.newest())


def test_another_net_is_refused_by_the_names_of_what_does_not_fit(launcher: Launcher, tmp_path: Path) -> None:
    taken = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH).launch().newest()
    refused = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH, NET="same").launch(resume=taken)
    assert refused.code == 1 and "ResumeError" in refused.output
    assert "model.2.weight is [8, 2] in the checkpoint, [8, 8] in the model" in refused.output
    other = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH, OPTIMIZER="sgd").launch(resume=taken)
    assert "The checkpoint's optimizer is Adam, this one SGD. Nothing was loaded." in other.output


@pytest.mark.parametrize("data", few("stream random", "stream", "stream random workers"))
def test_a_stream_that_reads_the_same_again_goes_on_from_that_batch(launcher: Launcher, tmp_path: Path, data: str) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, SCRIPT, each_steps(3), NET="noisy", DATA=data).pair(8)
    check(whole, resumed, killed.newest())


def test_a_stream_that_counts_its_passes_is_partial_and_named(launcher: Launcher, tmp_path: Path) -> None:
    killed = Training(launcher, tmp_path, SCRIPT, each_steps(3), DATA="stream passes").launch(KILL=8)
    assert killed.newest().grade == "partial" and "the data of fit (`passes` of its data set changes while it is read" in killed.newest().missing


def test_metrics_are_those_of_the_training(launcher: Launcher, tmp_path: Path) -> None:
    whole = Training(launcher, tmp_path, SCRIPT, EACH_EPOCH, **RICH).launch()
    names = {name for event in whole.events("metrics") for name in event["values"]}
    assert names == {"loss", "acc", "val_loss", "val_acc"}
