"""The objects of a training: out, through a file, and into fresh ones."""

from __future__ import annotations

import collections
import random
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import pytest
import states
import torch
from trainstash import ResumeError, ptfile, ptread
from trainstash.staging import Staging
from trainstash.tracked import Tracked

pytestmark = pytest.mark.oldest

MODERN = not torch.__version__.startswith("1.")


def save(folder: Path, **objects: Any) -> Dict[str, Any]:
    """Writes the state of some objects, and reads it as a resume does."""
    tracked = Tracked(objects)
    staged = Staging().copy({**tracked.state(), "trainstash": {"slots": tracked.slot_names(), "made with": tracked.made_with()}})
    staged.state["trainstash"]["lost"] = [place for place, _ in staged.lost]
    path = folder / "state.pt"
    path.unlink(missing_ok=True)
    ptfile.write(staged.state, str(path))
    saved: Dict[str, Any] = ptread.read(str(path))
    return saved


def load(saved: Dict[str, Any], **objects: Any) -> List[str]:
    tracked = Tracked(objects)
    missing = tracked.restore(saved, saved["trainstash"]["slots"], None)
    return [f"{name} ({why})" for _, name, why in missing + tracked.differences()]


def carry(folder: Path, one: Any, other: Any) -> List[str]:
    """Takes the state of an object to another one."""
    return load(save(folder, it=one), it=other)


# ---- models ----


class Odd(torch.nn.Module):
    """A model with one buffer of a class that torch may not be able to copy."""

    def __init__(self, buffer: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.register_buffer("odd", buffer)


def _other(name: str) -> Any:
    """Makes a tensor of the same class with other numbers."""
    then = _buffers()[name]()
    if then.layout != torch.strided or then.is_quantized or getattr(then, "is_nested", False):
        return then
    return torch.zeros(24 * then.element_size(), dtype=torch.uint8).view(then.dtype)


def _buffers() -> Dict[str, Callable[[], Any]]:
    made: Dict[str, Callable[[], Any]] = {str(dtype): lambda dtype=dtype: states.noise(dtype) for dtype in states.dtypes()}
    return {**made, **states.quantized(), **states.sparse(), **states.nested()}


@pytest.mark.parametrize("name", list(_buffers()))
def test_a_buffer_of_any_kind_is_loaded_into_a_fresh_model(name: str, tmp_path: Path) -> None:
    then = _buffers()[name]()
    fresh = _other(name)
    model = Odd(fresh)
    assert carry(tmp_path, Odd(then), model) == []
    assert states.same(model.odd, then) or (not MODERN and states.same(model.odd.coalesce(), then.coalesce()))


@pytest.mark.parametrize("kind", ["CSR", "CSC", "BSR", "BSC"])
def test_a_sparse_buffer_with_other_places_is_loaded(kind: str, tmp_path: Path) -> None:
    make = states.sparse().get(kind)
    if make is None:
        pytest.skip("this torch has no such layout")
    other = torch.eye(4).to_sparse_csr() if kind == "CSR" else make().clone()
    model = Odd(other)
    assert carry(tmp_path, Odd(make()), model) == []
    assert states.same(model.odd, make())


class Extra(torch.nn.Module):
    def __init__(self, extra: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.extra = extra

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


def test_extra_state_that_cannot_be_kept_is_named_and_the_rest_is_loaded(tmp_path: Path) -> None:
    one, other = Extra(object()), Extra("fresh")
    assert carry(tmp_path, one, other) == ["it._extra_state (it could not be kept when the checkpoint was taken)"]
    assert torch.equal(one.layer.weight, other.layer.weight)
    assert other.extra == "fresh"


def test_a_key_that_is_new_in_the_model_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    one, other = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2)
    before = other.weight.detach().clone()
    with pytest.raises(ResumeError, match="it.bias is not in the checkpoint"):
        carry(tmp_path, one, other)
    assert torch.equal(other.weight, before)


class Lazy(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.LazyLinear(3), torch.nn.LazyBatchNorm1d())

    def forward(self, x: Any) -> Any:
        return self.layers(x)


@pytest.mark.parametrize("seen", [True, False], ids=["after its first batch", "before its first batch"])
def test_a_lazy_model_is_loaded(seen: bool, tmp_path: Path) -> None:
    one, other = Lazy(), Lazy()
    if seen:
        one(torch.randn(4, 5))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    assert carry(tmp_path, one, other) == []
    assert torch.nn.parameter.is_lazy(other.layers[0].weight) is not seen
    if seen:
        assert torch.equal(other.layers[0].weight, one.layers[0].weight)
        assert optimizer.param_groups[0]["params"][0] is other.layers[0].weight


def test_a_lazy_model_that_is_none_any_more_is_refused_in_words(tmp_path: Path) -> None:
    other = Lazy()
    other(torch.randn(4, 5))
    with pytest.raises(ResumeError, match="it.layers.0.weight had no shape yet when the checkpoint was taken"):
        carry(tmp_path, Lazy(), other)


def _plain() -> Any:
    torch.manual_seed(random.randrange(1000))
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1)))


def _partly(wrap: Callable[[Any], Any]) -> Any:
    model = _plain()
    model[1] = wrap(model[1])
    return model


def _compiled(model: Any) -> Any:
    return torch.compile(model, backend="eager") if MODERN else torch.nn.DataParallel(model)


FORMS: Dict[str, Callable[[], Any]] = {
    "plain": _plain,
    "whole compiled": lambda: _compiled(_plain()),
    "partly compiled": lambda: _partly(_compiled),
    "parallel": lambda: torch.nn.DataParallel(_plain()),
    "partly parallel": lambda: _partly(torch.nn.DataParallel),
    "parallel and compiled": lambda: _compiled(torch.nn.DataParallel(_partly(_compiled))),
}


@pytest.mark.parametrize("then", list(FORMS))
@pytest.mark.parametrize("now", list(FORMS))
def test_each_form_of_a_model_loads_the_checkpoints_of_the_others(then: str, now: str, tmp_path: Path) -> None:
    one, other = FORMS[then](), FORMS[now]()
    first, second = (torch.optim.Adam(model.parameters()) for model in (one, other))
    one(torch.randn(4, 2)).sum().backward()
    first.step()
    saved = save(tmp_path, model=one, optimizer=first)
    assert list(saved["model"]) == list(_plain().state_dict())
    assert load(saved, model=other, optimizer=second) == []
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))
    assert all(states.same(a, b) for a, b in zip(first.state.values(), second.state.values()))


def test_a_checkpoint_with_the_names_of_a_compiled_part_is_loaded(tmp_path: Path) -> None:
    # Versions before 0.2 wrote these names.
    saved = save(tmp_path, model=_plain())
    saved["model"] = {name.replace("1.", "1._orig_mod.", 1) if name.startswith("1.") else name: v for name, v in saved["model"].items()}
    assert load(saved, model=_plain()) == []


def test_a_module_of_the_users_that_is_called_module_keeps_its_name(tmp_path: Path) -> None:
    model = torch.nn.Module()
    model.module = torch.nn.Linear(2, 2)
    assert list(save(tmp_path, model=model)["model"]) == ["module.weight", "module.bias"]


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    def tied() -> Any:
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
        model[1].weight = model[0].weight
        return model

    one, other = tied(), tied()
    assert carry(tmp_path, one, other) == []
    assert other[1].weight is other[0].weight and torch.equal(other[0].weight, one[0].weight)


class OfItsOwn(torch.optim.Optimizer):
    """An optimizer that keeps what no optimizer of torch keeps."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1, "rule": max})

    def step(self, closure: Any = None) -> Any:
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter].update(
                text="a", array=np.arange(3), tuple=(1, torch.ones(2)), none=None, last=collections.deque([torch.ones(1)], maxlen=2)
            )


def test_slots_of_any_class_are_what_they_were(tmp_path: Path) -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    first, second = OfItsOwn(one.parameters()), OfItsOwn(other.parameters())
    first.step()
    assert carry(tmp_path, first, second) == []
    assert all(states.same(a, b) for a, b in zip(first.state.values(), second.state.values()))
    assert second.state[other.weight]["last"].maxlen == 2
    assert second.param_groups[0]["rule"] is max


# ---- generators ----


def _generators() -> Dict[str, Callable[[int], Any]]:
    bits = [kind for kind in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64") if hasattr(np.random, kind)]
    made: Dict[str, Callable[[int], Any]] = {}
    for kind in bits:
        made[f"Generator of {kind}"] = lambda seed, kind=kind: np.random.Generator(getattr(np.random, kind)(seed))
        made[kind] = lambda seed, kind=kind: getattr(np.random, kind)(seed)
    made["RandomState"] = np.random.RandomState
    made["RandomState of PCG64"] = lambda seed: np.random.RandomState(np.random.PCG64(seed))
    made["Random"] = random.Random
    made["torch's"] = lambda seed: torch.Generator().manual_seed(seed)
    return made


def _draw(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return torch.randn(5, generator=generator).tolist()
    if isinstance(generator, random.Random):
        return [generator.gauss(0, 1) for _ in range(5)]
    if hasattr(generator, "standard_normal"):
        return generator.standard_normal(5).tolist() + [int(generator.bytes(1)[0])]
    return generator.random_raw(5).tolist()


@pytest.mark.parametrize("name", list(_generators()))
def test_a_generator_draws_on_where_it_was(name: str, tmp_path: Path) -> None:
    one, other = _generators()[name](1), _generators()[name](2)
    _draw(one)
    assert carry(tmp_path, one, other) == []
    assert _draw(other) == _draw(one)


def test_a_generator_that_has_children_has_others_after_a_resume(tmp_path: Path) -> None:
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    if not hasattr(one, "spawn"):
        pytest.skip("this NumPy cannot spawn")
    one.spawn(2)
    carry(tmp_path, one, other)
    assert _draw(other.spawn(1)[0]) == _draw(one.spawn(1)[0])


def test_another_kind_of_generator_is_named(tmp_path: Path) -> None:
    one, other = (np.random.Generator(kind(1)) for kind in (np.random.PCG64, np.random.SFC64))
    assert carry(tmp_path, one, other) == ["it (it was a PCG64 when the checkpoint was taken, and is a SFC64 now)"]


# ---- what throws, and what is not there ----


class Throwing(torch.nn.Linear):
    def state_dict(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("the shards are elsewhere")


def test_a_state_dict_that_throws_is_lost_by_name_and_the_rest_is_kept(tmp_path: Path) -> None:
    tracked = Tracked({"model": Throwing(2, 2), "other": torch.nn.Linear(2, 2)})
    assert list(tracked.state()) == ["other"]
    assert tracked.is_vital("model")
    with pytest.raises(ResumeError, match="has no model; it has other"):
        load(save(tmp_path, model=Throwing(2, 2), other=torch.nn.Linear(2, 2)), model=torch.nn.Linear(2, 2))


def test_kinds_and_what_is_vital() -> None:
    model = torch.nn.BatchNorm1d(3)
    optimizer = torch.optim.Adam(model.parameters())
    tracked = Tracked(
        {
            "model": model,
            "optimizer": optimizer,
            "schedule": torch.optim.lr_scheduler.StepLR(optimizer, 3),
            "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
            "noise": np.random.default_rng(1),
            "ema": {"w": torch.ones(2)},
        }
    )
    places = ["model.weight", "model.running_mean", "optimizer.state[0].exp_avg", "schedule.base", "plateau", "noise", "ema.w"]
    assert [tracked.kind_of(place) for place in places] == [
        "weights", "weights", "optimizer", "schedule", "schedule", "random", "other",
    ]  # fmt: skip
    assert [tracked.is_vital(place) for place in ["model", "model.weight", "model.running_mean", "optimizer", "noise"]] == [
        True, True, False, True, False,
    ]  # fmt: skip


class Wrapped:
    """An object like those of other frameworks, which return their state as they hold it."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def state_dict(self) -> Any:
        return self._state

    def load_state_dict(self, state: Any) -> None:
        self._state = state


def test_arrays_of_a_framework_that_cannot_be_copied_are_refused_with_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    for module, way in (("jaxlib", "as NumPy arrays"), ("paddle.base", "trainstash.paddle()"), ("mindspore", '"checkpoints"')):
        root = module.partition(".")[0]
        monkeypatch.setitem(sys.modules, root, types.ModuleType(root))
        array = type("ArrayImpl", (), {"__module__": module})()
        with pytest.raises(TypeError, match="cannot copy; nothing was tracked") as refused:
            Tracked({"net": Wrapped({"w": [array]})})
        assert way in str(refused.value) and root in str(refused.value)
        with pytest.raises(TypeError, match="cannot copy"):
            Tracked({"net": type("Layer", (Wrapped,), {"__module__": module})({})})


# ---- options ----


def _adam(model: Any, **options: Any) -> Any:
    return torch.optim.Adam(model.parameters(), **options)


def test_an_option_that_the_script_gives_another_value_is_told(tmp_path: Path) -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    saved = save(tmp_path, model=one, optimizer=_adam(one, amsgrad=True))
    assert load(saved, model=other, optimizer=_adam(other)) == [
        "optimizer (the script makes it with amsgrad=False; the checkpoint's True goes on)"
    ]
    assert load(saved, model=other, optimizer=_adam(other, amsgrad=True)) == []


def test_an_option_that_is_meant_to_change_is_not_told(tmp_path: Path) -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    saved = save(tmp_path, model=one, optimizer=_adam(one, weight_decay=0.1))
    tracked = Tracked({"model": other, "optimizer": _adam(other, weight_decay=0.2)})
    tracked.restore(saved, saved["trainstash"]["slots"], None)
    done = tracked.apply_options({"weight_decay": 0.1}, {"weight_decay": 0.2})
    assert done == ["weight_decay is 0.2 from here on (it was 0.1)"]
    assert tracked.differences() == []


def test_an_option_that_a_loop_has_moved_is_not_told(tmp_path: Path) -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    optimizer = _adam(one, weight_decay=0.1)
    tracked = Tracked({"model": one, "optimizer": optimizer})
    optimizer.param_groups[0].update(weight_decay=0.05, lr=0.5)
    staged = Staging().copy({**tracked.state(), "trainstash": {"slots": tracked.slot_names(), "made with": tracked.made_with()}})
    ptfile.write(staged.state, str(tmp_path / "state.pt"))
    resumed = _adam(other, weight_decay=0.1)
    assert load(ptread.read(str(tmp_path / "state.pt")), model=other, optimizer=resumed) == []
    assert (resumed.param_groups[0]["weight_decay"], resumed.param_groups[0]["lr"]) == (0.05, 0.5)


@pytest.mark.skipif(not MODERN, reason="torch 1 has no scaler for the CPU")
@pytest.mark.parametrize("then", [True, False])
def test_a_scaler_that_was_switched_is_told(then: bool, tmp_path: Path) -> None:
    one, other = (torch.amp.GradScaler("cpu", enabled=enabled) for enabled in (then, not then))
    words: List[Optional[str]] = ["enabled", "disabled"] if then else ["disabled", "enabled"]
    assert carry(tmp_path, one, other) == [f"it (it was {words[0]} when the checkpoint was taken, and is {words[1]} now)"]
    assert carry(tmp_path, one, torch.amp.GradScaler("cpu", enabled=then)) == []
