"""Models, optimizers and dtypes: whatever Keras can train goes on to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from fits import Server, Training, at, differences, state_of
from pairs import each_steps
from sampling import full, mostly_full

Give = Callable[[str], Server]
BACKENDS = ["tensorflow", "jax", "torch"]
MODELS = ["without Input", "subclassed", "functional", "two optimizers", "float8", "int8"]
POLICIES = ["bfloat16", "mixed_bfloat16", "mixed_float16", "float16"]


def goes_on(training: Training, step: int) -> None:
    whole = training.whole()
    assert (at(whole, step).grade, at(whole, step).missing) == ("complete", "")
    assert differences(whole.newest(), training.resumed(at(whole, step)).newest()) == []


@pytest.mark.parametrize("backend, model", mostly_full([(backend, model) for backend in BACKENDS for model in MODELS], [("tensorflow", "subclassed")]))
def test_a_model_goes_on_whenever_keras_builds_it(server: Give, tmp_path: Path, backend: str, model: str) -> None:
    goes_on(Training(server(backend), tmp_path, "space", each_steps(7), MODEL=model), 7)


@pytest.mark.parametrize("backend, policy", mostly_full([(backend, policy) for backend in BACKENDS for policy in POLICIES], [("tensorflow", "bfloat16")]))
def test_a_dtype_goes_on(server: Give, tmp_path: Path, backend: str, policy: str) -> None:
    goes_on(Training(server(backend), tmp_path, "space", each_steps(7), POLICY=policy), 7)


@full
@pytest.mark.parametrize("optimizer", ["sgd", "decay", "average", "accumulating"])
def test_an_optimizer_goes_on(server: Give, tmp_path: Path, optimizer: str) -> None:
    goes_on(Training(server("tensorflow"), tmp_path, "space", each_steps(7), OPTIMIZER=optimizer), 7)


def test_tensors_have_the_names_of_their_layers(server: Give, tmp_path: Path) -> None:
    whole = Training(server("tensorflow"), tmp_path, "space", MODEL="subclassed").whole()
    names = set(state_of(whole.newest()))
    assert {"model/subclassed/hidden/kernel", "model/subclassed/out/bias", "optimizer/iteration"} <= names
    assert {"optimizer/subclassed_hidden_kernel_momentum", "trainstash/metrics/accuracy/total"} <= names


@full
def test_optimizers_that_train_a_part_each_go_on(server: Give, tmp_path: Path) -> None:
    goes_on(Training(server("tensorflow"), tmp_path, "gan", each_steps(7)), 7)


@full
def test_another_backend_is_named(server: Give, tmp_path: Path) -> None:
    training = Training(server("tensorflow"), tmp_path, "space", each_steps(7))
    other = Training(server("jax"), tmp_path / "jax", "space", each_steps(7))
    resumed = other.resumed(at(training.whole(), 7))
    assert "it was tensorflow when the checkpoint was taken, and is jax now" in resumed.newest().missing
