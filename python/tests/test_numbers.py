"""Metrics' numbers: the table that TypeScript is tested by as well, then doubles of every kind and all that a script may log.
Runs under pytest, and alone."""

from __future__ import annotations

import decimal
import fractions
import json
import math
import os
import random
import struct
import sys
import tempfile

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src"))

from trainstash.environment import merged_params, plain_params
from trainstash.numbers import (
    alarming_metric,
    as_number,
    dumps,
    from_wire,
    has_diverged,
    is_better,
    plain_metrics,
    wire_number,
)
from trainstash.watch import Recent, Watch

_FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/fixtures/numbers.json")
with open(_FIXTURE, encoding="utf-8") as _file:
    TABLE = json.load(_file)


def of_bits(bits: str) -> float:
    return struct.unpack(">d", bytes.fromhex(bits))[0]


def bits_of(value: float) -> str:
    """Returns the bits of a number, the same for every NaN."""
    return "nan" if value != value else struct.pack(">d", value).hex()


def strict(text: str):
    """Parses JSON as others read it: without NaN and Infinity as bare words."""

    def refuse(word: str):
        raise AssertionError(f"bare {word} in {text[:200]}")

    return json.loads(text, parse_constant=refuse)


def through_json(value: float) -> float:
    return from_wire(strict(dumps({"loss": wire_number(value)}))["loss"])


def test_each_number_of_the_table_is_read_and_written():
    for case in TABLE["numbers"]:
        value = of_bits(case["bits"])
        for text in case["json"]:
            assert bits_of(from_wire(json.loads(text))) == bits_of(value), case
        assert bits_of(through_json(value)) == bits_of(value), case


def test_every_nan_is_nan():
    for bits in TABLE["payloads"]:
        assert through_json(of_bits(bits)) != through_json(of_bits(bits))


def test_every_kind_of_double_comes_back_with_its_bits():
    generator = random.Random(20240607)
    for _ in range(20_000):
        exponent = generator.choice([0, 1, 0x3FF, 0x7FE, 0x7FF, generator.randrange(0x800)])
        value = of_bits(f"{generator.getrandbits(1) << 63 | exponent << 52 | generator.getrandbits(52):016x}")
        assert bits_of(through_json(value)) == bits_of(value)
        assert bits_of(from_wire(strict(dumps([value]))[0])) == bits_of(value)


def test_whatever_a_script_logs_is_a_double_or_no_number_and_never_raises():
    class Raises:
        def item(self):
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")

    class RaisesOnLook:
        def __getattr__(self, name):
            raise ValueError(name)

    numbers = [
        (True, 1.0),
        (2**53 + 1, float(2**53)),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (10**5000, math.inf),
        (fractions.Fraction(10**400), math.inf),
        (fractions.Fraction(1, 3), 1 / 3),
        (decimal.Decimal("NaN"), math.nan),
        (decimal.Decimal("1E+999999"), math.inf),
        (decimal.Decimal("-0"), -0.0),
        ("0.5", 0.5),
    ]
    for value, expected in numbers:
        got = as_number(value)
        assert got is not None and bits_of(got) == bits_of(expected), value
    for value in (None, "high", 1j, [1.0], {}, object(), Raises(), RaisesOnLook(), decimal.Decimal("sNaN")):
        assert as_number(value) is None, value


def test_numbers_of_numpy_and_torch():
    try:
        import numpy
        import torch
    except ImportError:
        return
    for kind in ("float16", "float32", "float64", "longdouble"):
        for text in ("0.1", "-0.0", "nan", "inf", "-inf"):
            expected = float(getattr(numpy, kind)(text))
            assert bits_of(as_number(getattr(numpy, kind)(text))) == bits_of(expected)
    assert as_number(numpy.array([0.5])) == 0.5
    assert as_number(numpy.array([0.5, 1])) is None
    for masked in (numpy.ma.masked, numpy.ma.array([1.0], mask=[True]), numpy.ma.array([2.0, 3.0], mask=True).mean()):
        assert bits_of(as_number(masked)) == "nan"
    assert as_number(numpy.ma.array([1.0], mask=[False])) == 1.0
    assert as_number(numpy.ma.array([1.0, 2.0], mask=True)) is None
    assert as_number(numpy.bool_(True)) == 1.0
    assert as_number(numpy.int64(2**62)) == 2.0**62
    for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for number in (0.1, -0.0, math.nan, math.inf, -math.inf):
            tensor = torch.tensor(number, dtype=kind, requires_grad=True)
            assert bits_of(as_number(tensor)) == bits_of(float(tensor.detach().to(torch.float64)))
    assert as_number(torch.tensor([1.0, 2.0])) is None
    assert as_number(torch.empty(0)) is None
    assert as_number(torch.tensor(1j)) is None
    assert as_number(torch.empty(1, device="meta")) is None


def test_json_of_ours_is_json_wherever_a_number_stands():
    deep = {"a": [math.nan, (math.inf, {"b": -math.inf, "c": "NaN", "d": True})], "n": 10**5000, "i": 2**60}
    assert strict(dumps(deep)) == {
        "a": ["NaN", ["Infinity", {"b": "-Infinity", "c": "NaN", "d": True}]],
        "n": "Infinity",
        "i": 2**60,
    }
    assert plain_metrics({"a": math.nan, "b": 1, "c": True, "d": None}) == {"a": "NaN", "b": 1.0, "c": 1.0}


def test_params_that_json_cannot_hold_are_the_scripts_own_after_a_launch():
    class Odd:
        def __str__(self):
            return "odd"

    own = {"clip": math.inf, "odd": Odd(), "lr": 0.1, "deep": {"floor": -math.inf}, "pair": (1, 2)}
    launched = strict(dumps(plain_params(own)))
    merged = merged_params(own, {**launched, "lr": 0.2, "new": 1})
    assert merged == {**own, "lr": 0.2, "new": 1}
    assert merged["odd"] is own["odd"] and isinstance(merged["pair"], tuple)


def test_the_best_is_finite():
    for case in TABLE["best"]:
        best = None if case["best"] is None else from_wire(case["best"])
        assert is_better({"mode": case["mode"]}, from_wire(case["value"]), best) == case["better"], case


def test_what_is_an_alarm_and_what_has_diverged():
    for case in TABLE["diverged"]:
        monitor = {"metric": case["monitor"], "mode": "min"} if case["monitor"] else None
        assert alarming_metric(monitor, case["newest"].__getitem__) == case["alarm"], case
        assert has_diverged(monitor, case["newest"].__getitem__) == case["diverged"], case


def test_spikes_and_nan_are_told_from_noise():
    for case in TABLE["judged"]:
        recent = Recent(case["mode"])
        verdicts = [recent.judge(case["calm"] + (i % 5) / 4 * case["noise"]) for i in range(130)]
        assert set(verdicts) == {None}, case
        assert (recent.judge(from_wire(case["value"])) or "fine") == case["verdict"], case


def test_a_watch_speaks_once_until_it_is_finite_again_and_pauses_as_the_job_has_it():
    said = []

    class Session:
        def notice(self, code, level, text, step):
            said.append((code, step))

    watch = Watch({"monitor": {"metric": "val", "mode": "min"}, "onNaN": "pause", "onSpike": "ignore"})
    for step, loss in enumerate([1.0, math.nan, math.inf, 1.0, -math.inf]):
        watch.look(Session(), step, {"loss": loss, "grad_norm": math.nan})
        assert watch.diverged == (not math.isfinite(loss))
    assert said == [("nan", 1), ("nan", 4)]
    assert watch.pause == "loss was NaN at step 1"
    # An evaluation that fails says nothing of the weights.
    watch.look(Session(), 5, {"loss": 1.0, "val": math.nan})
    assert not watch.diverged and said[-1] == ("nan", 5)


def test_a_spike_right_after_a_resume_is_found_by_the_values_from_before_its_checkpoint():
    class Session:
        def notice(self, *_):
            pass

    launch = {"onSpike": "pause", "recent": {"loss": [1 + i % 5 / 100 for i in range(60)]}}
    for rollback, reason in [({}, "pause"), ({"spike": {}}, "pause"), ({"spike": {"times": 1}}, "spike")]:
        watch = Watch({**launch, "rollback": rollback})
        watch.look(Session(), 61, {"loss": 50.0})
        assert watch.trouble == {"code": "spike", "step": 61, "what": watch.pause}
        assert watch.pause_reason == reason
    watch = Watch({**launch, "recent": {}})
    watch.look(Session(), 61, {"loss": 50.0})
    assert watch.trouble is None and watch.pause_reason == "pause"


def test_an_adapter_pauses_with_a_checkpoint_that_is_marked_by_its_metrics():
    from trainstash import recorder as recorder_module
    from trainstash.fit import Place
    from trainstash.ingredients import Ingredients

    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "inbox"))
        with open(os.path.join(folder, "launch.json"), "w", encoding="utf-8") as file:
            json.dump({"session": "s", "onNaN": "pause", "checkpoint": {"everySteps": 2}, "stated": ["every"]}, file)
        before, recorder_module._current = recorder_module._current, None
        owner = os.environ.pop("TRAINSTASH_OWNER", None)
        os.environ["TRAINSTASH_SESSION"] = folder
        try:
            fit = recorder_module.recorder_of("test").next_fit()
            fit.begin(0, 0, None, None)
        finally:
            recorder_module._current = before
            del os.environ["TRAINSTASH_SESSION"]
            os.environ.pop("TRAINSTASH_OWNER", None)
            if owner is not None:
                os.environ["TRAINSTASH_OWNER"] = owner
        fit.log(2, 0, {"loss": 1.0})
        due = fit.due(2)
        assert (due.reasons, due.leaves) == (["steps"], False)
        fit.log(4, 0, {"loss": math.inf, "text": "x"})
        due = fit.due(4)
        assert (due.reasons, due.leaves) == (["pause"], True)
        fit.save_files(Place(4, 0, 0), due, Ingredients(), lambda path: open(os.path.join(path, "model"), "w").close())
        try:
            fit.leave(4)
        except SystemExit:
            pass
        with open(os.path.join(folder, "exit.json"), encoding="utf-8") as file:
            exit_record = strict(file.read())
        assert (exit_record["outcome"], exit_record["reason"]) == ("paused", "loss was ∞ at step 4")
        (name,) = os.listdir(os.path.join(folder, "inbox"))
        with open(os.path.join(folder, "inbox", name, "checkpoint.json"), encoding="utf-8") as file:
            assert strict(file.read())["metrics"] == {"loss": "Infinity"}


if __name__ == "__main__":
    for _name, _test in sorted(globals().items()):
        if _name.startswith("test_"):
            _test()
            print("ok", _name)
