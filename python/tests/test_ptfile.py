"""Files of a state: written, read back by a resume's reader bit for bit, and read by torch where torch can."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import io
import pathlib
import pickle
import random
import uuid
import zipfile
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import states
import torch
from trainstash import ptfile, ptread
from trainstash.codec import decode
from trainstash.opcodes import check_numbers
from trainstash.staging import Staged, Staging

pytestmark = pytest.mark.oldest

MODERN = not torch.__version__.startswith("1.")


def write(value: Any, folder: Path) -> Staged:
    staged = Staging().copy({"value": value})
    ptfile.write(staged.state, str(folder / "state.pt"))
    return staged


def there_and_back(value: Any, folder: Path, by_torch: bool = True) -> Any:
    staged = write(value, folder)
    assert staged.lost == []
    found = ptread.read(str(folder / "state.pt"))["value"]
    if by_torch and MODERN:
        assert states.same(decode(torch.load(str(folder / "state.pt"), weights_only=True))["value"], value)
    return found


@pytest.mark.parametrize("dtype", list(states.dtypes()), ids=str)
def test_a_tensor_of_every_dtype_comes_back(dtype: Any, tmp_path: Path) -> None:
    whole = states.noise(dtype)
    value = [whole, whole.as_strided((3, 2), (1, 5), 2), whole[:0], whole.as_strided((), (), 3)]
    assert states.same(there_and_back(value, tmp_path), value)


@pytest.mark.parametrize("make", list(states.quantized().values()), ids=list(states.quantized()))
def test_a_quantized_tensor_comes_back(make: Any, tmp_path: Path) -> None:
    value = make()
    assert states.same(there_and_back(value, tmp_path), value)


@pytest.mark.parametrize("make", list(states.sparse().values()), ids=list(states.sparse()))
def test_a_sparse_tensor_comes_back(make: Any, tmp_path: Path) -> None:
    value = make()
    found = there_and_back(value, tmp_path)
    assert states.same(found, value) or (not MODERN and states.same(found.coalesce(), value.coalesce()))


@pytest.mark.parametrize("make", list(states.nested().values()), ids=list(states.nested()))
def test_a_nested_tensor_comes_back(make: Any, tmp_path: Path) -> None:
    value = make()
    assert states.same(there_and_back(value, tmp_path), value)


PLAIN: Dict[str, Any] = {
    "numbers": [0, -1, 2**40, 2**130, -(2**70), 1.5, float("inf"), float("nan"), -0.0, True, None],
    "texts": ["", "a", "é", "\ud800", "x" * 100_000],
    "bytes": [b"", b"\x00\xff", bytes(range(256)), b"x" * 100_000],
    "bytearray": bytearray(b"\x00\xff"),
    "complex": 1 - 2.5j,
    "sets": [set(), {3, 1, 2}, {"b", "a"}],
    "frozen set": frozenset({1, 2}),
    "ordered": collections.OrderedDict(b=1, a=2),
    "counter": collections.Counter("hello"),
    "defaultdict": collections.defaultdict(list, {"a": [1]}),
    "deque": collections.deque([1, 2], maxlen=4),
    "keys": {1: "a", 1.5: "b", None: "c", ("x", 2): "e"},
    "range": range(2, 9, 3),
    "slice": slice(1, None, 2),
    "size": torch.Size([2, 3]),
    "dtype": torch.float16,
    "device": torch.device("cpu"),
    "second device": torch.device("cuda", 1),
    "file in memory": io.BytesIO(b"state of a layer"),
    "times": [datetime.timedelta(days=1, microseconds=3), datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, fold=1)],
    "time with zone": datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "decimal": decimal.Decimal("0.10"),
    "fraction": fractions.Fraction(1, 3),
    "identifier": uuid.UUID(int=5),
    "path": pathlib.Path("a/b"),
}


@pytest.mark.parametrize("value", list(PLAIN.values()), ids=list(PLAIN))
def test_a_plain_value_comes_back(value: Any, tmp_path: Path) -> None:
    # torch does not read integers of more than 2040 bits, and gives devices that are missing the name of their kind.
    assert states.same(there_and_back(value, tmp_path), value)


ARRAYS: Dict[str, Any] = {
    **{code: np.frombuffer(bytes(range(1, 241)), dtype=code)[:3] for code in "bBhHiIlLqQefdgFD"},
    "?": np.array([True, False]),
    "datetime64": np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"),
    "timedelta64": np.array([1, 2], dtype="timedelta64[ms]"),
    "texts": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "other byte order": np.arange(3, dtype=">f4"),
    "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "backwards": np.arange(5)[::-1],
    "without axes": np.array(2.5),
    "empty": np.zeros((0, 3), dtype=np.uint16),
}


@pytest.mark.parametrize("value", list(ARRAYS.values()), ids=list(ARRAYS))
def test_an_array_comes_back(value: Any, tmp_path: Path) -> None:
    found = there_and_back(value, tmp_path)
    assert states.same(found, value)
    assert found.flags.writeable


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, np.uint64, np.bool_, np.complex64], ids=str)
def test_a_number_of_numpy_keeps_its_class(kind: Any, tmp_path: Path) -> None:
    assert states.same(there_and_back(kind(1), tmp_path), kind(1))


UNKEPT: Dict[str, Any] = {
    "an object": (object(), "an object of the class object; numbers, texts, tensors"),
    "an array of objects": (np.array([object()]), "an array of object"),
    "a record array": (np.zeros(2, dtype=[("a", "i4")]), "an array of [('a', '<i4')]"),
    "a masked array": (np.ma.masked_array([1, 2], [0, 1]), "an array of the class MaskedArray; a plain array can be kept"),
    "a named tuple": (collections.namedtuple("Point", "x")(1), "a named tuple (Point); a dict can be kept"),
    "a generator": (random.Random(1), "a random generator (random's Random) inside another object; give it to init()"),
    "a meta tensor": (torch.empty(2, device="meta"), "on the meta device: it has a shape and no numbers"),
}


@pytest.mark.parametrize("value,why", list(UNKEPT.values()), ids=list(UNKEPT))
def test_what_cannot_be_kept_is_named_and_the_rest_is_kept(value: Any, why: str, tmp_path: Path) -> None:
    staged = write({"inner": value, "other": 1}, tmp_path)
    assert [place for place, _ in staged.lost] == ["value.inner"]
    assert why in staged.lost[0][1]
    assert ptread.read(str(tmp_path / "state.pt")) == {"value": {"other": 1}}


def test_a_state_that_holds_itself_is_named_and_not_followed_for_ever(tmp_path: Path) -> None:
    cycle: Dict[str, Any] = {"other": 1}
    cycle["self"] = cycle
    staged = write(cycle, tmp_path)
    assert staged.lost == [("value.self", "it holds itself")]
    ptread.read(str(tmp_path / "state.pt"))


def test_functions_are_the_constructors_and_make_no_hole_in_a_list_without_a_word(tmp_path: Path) -> None:
    staged = write({"rule": max, "rules": [max, min], "mixed": [1, max], "same": [[], []]}, tmp_path)
    assert staged.lost == [("value.mixed", "a list with functions in it")]
    assert ptread.read(str(tmp_path / "state.pt"))["value"] == {"same": [[], []]}


def test_a_key_of_another_class_is_named(tmp_path: Path) -> None:
    staged = write({object(): 1, "a": 2}, tmp_path)
    assert "a key of the class object" in staged.lost[0][1]


def test_tensors_that_share_memory_still_do(tmp_path: Path) -> None:
    flat = torch.randn(1000)
    value = {"flat": flat, "first": flat[:300], "second": flat[200:600], "bits": flat[10:20].view(torch.int32)}
    found = there_and_back(value, tmp_path)
    assert states.same(found, value)
    found["flat"][250] = 7
    assert (found["first"][250], found["second"][50]) == (7, 7)


def test_views_of_a_large_storage_keep_what_they_share_and_leave_the_rest(tmp_path: Path) -> None:
    flat = torch.randn(1_000_000)
    value = {"a": flat[100:300], "b": flat[250:400], "alone": flat[900_000:900_010], "column": flat.view(1000, 1000)[:, 5]}
    value["column again"] = value["column"]
    there = {name: tensor for name, tensor in value.items() if not name.startswith("column")}
    found = there_and_back(there, tmp_path)
    assert (tmp_path / "state.pt").stat().st_size < 10_000
    assert states.same(found, there)
    found["a"][150] = 7
    assert found["b"][0] == 7
    (tmp_path / "state.pt").unlink()
    write(value, tmp_path)
    column = ptread.read(str(tmp_path / "state.pt"))["value"]
    assert torch.equal(column["column"], value["column"])


def test_no_elements_of_a_large_storage_leave_it_out(tmp_path: Path) -> None:
    there_and_back(torch.randn(1_000_000)[5:5], tmp_path)
    assert (tmp_path / "state.pt").stat().st_size < 10_000


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    def state() -> Any:
        text = "".join(["na", "me"])
        return {text: torch.arange(5), "b": [b"xy", bytes([120, 121])], "c": {text: (1, 2)}, "d": np.arange(3)}

    files = []
    for number in range(2):
        path = tmp_path / f"{number}.pt"
        ptfile.write(Staging().copy(state()).state, str(path))
        files.append(path.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "bomb",
    [b"\x80\x02}r\xf6-64.", b"}p875836470\n.", b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x08\x85R."],
    ids=["a number of an object", "the same as text", "a size of a bytearray"],
)
def test_a_few_bytes_cannot_ask_for_all_memory(tmp_path: Path, bomb: bytes) -> None:
    path = tmp_path / "state.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", bomb)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError):
        ptread.read(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_honest_pickles_are_right_in_every_protocol(protocol: int) -> None:
    value = [{"k%d" % i: (i, -i, 2**i, i / 3, None, True, b"b" * i, "ü" * i, bytearray(i), [i], {i}, 1j)} for i in range(300)]
    check_numbers(pickle.dumps(value, protocol))
    check_numbers(pickle.dumps(collections.OrderedDict(a=collections.Counter("aab")), protocol))
    with pytest.raises(ValueError):
        check_numbers(pickle.dumps(value, protocol)[:-1])
