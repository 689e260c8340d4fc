"""A loop of the script's own over Paddle's layers, optimizers, schedules, scalers and loaders."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import trainstash
from pairs import NEVER, Launcher, Training, differences, each_steps
from sampling import full
from trainstash import ResumeError, arrayfile, paddle_objects

SCRIPT = str(Path(__file__).parent / "scripts" / "loop.py")


def others(words: str) -> Any:
    return pytest.param(words, marks=full)


@pytest.mark.parametrize(
    "words",
    [
        "warmup workers augment collate teacher",
        "scaler earlier groups",
        others("plateau momentum sampler"),
        others("half groups distributed"),
        others("scaler collate earlier warmup workers"),
        others("augment sampler workers plateau"),
    ],
)
def test_a_killed_loop_goes_on_to_the_bit(launcher: Launcher, tmp_path: Path, words: str) -> None:
    whole, killed, resumed = Training(launcher, tmp_path, SCRIPT, each_steps(3), WORDS=words).pair(8)
    assert differences(whole, resumed) == []
    assert whole.output.splitlines()[-1] == resumed.output.splitlines()[-1]
    assert killed.newest().grade == "complete", killed.newest().missing
    assert "model.0.weight" in {key.lstrip(".") for key in killed.newest().state()}


def test_a_paused_loop_goes_on_to_the_bit(launcher: Launcher, tmp_path: Path) -> None:
    training = Training(launcher, tmp_path, SCRIPT, NEVER, WORDS="warmup augment")
    whole, paused = training.launch(), training.launch(PAUSE=7)
    exit = paused.exit()
    assert exit is not None and exit["outcome"] == "paused"
    assert differences(whole, training.launch(resume=paused.newest())) == []


def test_a_layer_that_changes_and_was_not_given_is_named(launcher: Launcher, tmp_path: Path) -> None:
    killed = Training(launcher, tmp_path, SCRIPT, each_steps(3), WORDS="untracked").launch(KILL=8)
    assert killed.newest().grade == "partial" and "`teacher`" in killed.newest().missing


def test_a_class_of_paddle_that_nobody_knows_is_refused_with_the_way_that_exists() -> None:
    with pytest.raises(TypeError, match="give its layers, optimizers, schedules, scalers and tensors each by itself"):
        trainstash.init(data=paddle.metric.Accuracy())


def an_optimizer(*layers: Any) -> Any:
    made = paddle.optimizer.Adam(0.01, parameters=[one for layer in layers for one in layer.parameters()])
    for layer in layers:
        layer(paddle.ones([2, 4])).sum().backward()
    made.step()
    made.clear_grad()
    return made


def test_slots_follow_their_parameters_when_layers_change_places() -> None:
    a, b = paddle.nn.Linear(4, 4), paddle.nn.Linear(4, 4)
    first = an_optimizer(a, b)
    names = paddle_objects.names_of({"a": a, "b": b})
    first._accumulators["moment1"][b.weight.name].set_value(np.full((4, 4), 7, "float32"))
    state = arrayfile_of(paddle_objects.optimizer_state(first, names, 0.01))
    second = paddle.optimizer.Adam(0.01, parameters=[*b.parameters(), *a.parameters()])
    pairs = paddle_objects.check_optimizer("optimizer", second, state, names)
    paddle_objects.load_optimizer(second, state, names, pairs, 0.01)
    assert float(second._accumulators["moment1"][b.weight.name].sum()) == 7 * 16
    assert float(second._accumulators["moment1"][a.weight.name].sum()) != 7 * 16


def test_slots_for_other_parameters_are_refused_by_name() -> None:
    a, b = paddle.nn.Linear(4, 4), paddle.nn.Linear(4, 3)
    state = arrayfile_of(paddle_objects.optimizer_state(an_optimizer(a), paddle_objects.names_of({"net": a}), 0.01))
    other = paddle.optimizer.Adam(0.01, parameters=b.parameters())
    with pytest.raises(ResumeError, match=r"for net.weight are for \[4, 4\], and net.weight is \[4, 3\]"):
        paddle_objects.check_optimizer("optimizer", other, state, paddle_objects.names_of({"net": b}))
    more = paddle.optimizer.Adam(0.01, parameters=[*a.parameters(), *b.parameters()])
    with pytest.raises(ResumeError, match="optimizer has a new parameter more.weight"):
        paddle_objects.check_optimizer("optimizer", more, state, paddle_objects.names_of({"net": a, "more": b}))


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64", "float32"])
def test_weights_of_every_precision_come_back(tmp_path: Path, kind: str) -> None:
    layer = paddle.nn.Linear(3, 2)
    layer.to(dtype=kind)
    packed = arrayfile.pack({"model": paddle_objects.layer_state(layer)})
    assert packed.lost == []
    arrayfile.write(packed, str(tmp_path / "state.safetensors"))
    before = layer.weight.numpy().tobytes()
    layer.weight.set_value(paddle.zeros_like(layer.weight))
    saved = arrayfile.read(str(tmp_path / "state.safetensors"))["model"]
    paddle_objects.check_layer("model", layer, saved)
    paddle_objects.load_layer(layer, saved)
    assert layer.weight.numpy().tobytes() == before and kind in str(layer.weight.dtype)


@pytest.mark.parametrize("before", [0, 1])
def test_gradients_that_were_put_back_are_added_to(before: int) -> None:
    layer = paddle.nn.Linear(2, 1)
    parameters = dict(layer.named_parameters())

    def backward(*numbers: float) -> None:
        for number in numbers:
            layer(paddle.to_tensor(np.array([[number, number + 1]], "float32"))).sum().backward()

    backward(*[5.0, 1.0, 2.0, 3.0][1 - before :])
    wanted = layer.weight.grad.numpy().copy()
    layer.clear_gradients()
    backward(*[5.0][:before])
    saved = arrayfile_of(paddle_objects.gradients_of(parameters))
    assert len(saved["values"]) == before * 2
    layer.clear_gradients()
    paddle_objects.set_gradients(parameters, saved)
    backward(1.0, 2.0, 3.0)
    assert layer.weight.grad.numpy().tobytes() == wanted.tobytes()


def arrayfile_of(state: Any) -> Any:
    """Packs a state, and returns it as it comes out of a file."""
    packed = arrayfile.pack(state)
    return arrayfile._unpacked(packed.skeleton, {place: array.data for place, array in packed.arrays.items()})
