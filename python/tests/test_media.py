"""Images, histograms, tables and texts in ``run.log``: kept once, within limits, and never the end of a training."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zlib
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import torch
from trainstash import media as media_module
from trainstash.media import Media
from trainstash.media_content import histogram_of, image_of, table_of
from trainstash.session import Session


@pytest.fixture
def session(tmp_path: Any) -> Session:
    os.makedirs(tmp_path / "inbox")
    return Session(str(tmp_path), {"session": "s", "run": None}, alone=False)


def lines(session: Session) -> List[Dict[str, Any]]:
    with open(session.file("media.ndjson"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def content(session: Session, line: Dict[str, Any]) -> bytes:
    with open(os.path.join(session.file("media"), line["sum"]), "rb") as file:
        data = file.read()
    assert hashlib.sha256(data).hexdigest() == line["sum"] and len(data) == line["bytes"]
    return data


def pixels(png: bytes) -> Tuple[int, int, int, bytes]:
    """Decodes a PNG file as strictly as a browser: signature, checksums, and lines without a filter."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, head = 8, b"", b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        head, data = (body, data) if kind == b"IHDR" else (head, data + body if kind == b"IDAT" else data)
        at += 12 + length
    width, height, depth, colors = struct.unpack(">IIBB", head[:10])
    assert depth == 8
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colors]
    raw = zlib.decompress(data)
    rows = [raw[i * (width * channels + 1) :][: width * channels + 1] for i in range(height)]
    assert all(row[0] == 0 for row in rows) and len(raw) == height * (width * channels + 1)
    return width, height, channels, b"".join(row[1:] for row in rows)


def test_what_no_library_can_make_an_image_of_is_left_out_and_nothing_is_raised(session: Session, capsys: Any) -> None:
    media = Media(session)

    class Hostile:
        __module__ = "PIL.Image"
        mode = "RGB"

        def save(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no")

    odd = [np.zeros((2, 3, 4, 5, 6)), np.array([]), np.array(["a"]), object(), b"<svg onload=alert(1)>", Hostile(), {}, [], None]
    for i, value in enumerate(odd):
        assert media.take(i, "image", value)
    for value in ([1, 2], "text", object()):
        assert media.take(1, "table", value)
    assert media.take(1, "histogram", "text") and media.take(1, "histogram", object())
    assert not os.path.exists(session.file("media.ndjson"))
    assert capsys.readouterr().err.count("left out") >= 3


def test_an_object_that_raises_however_it_is_looked_at_is_left_out(session: Session, capsys: Any) -> None:
    media = Media(session)

    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    class Items(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise Wordless

    class Key:
        def __str__(self) -> str:
            raise Wordless

    class Sequence(list):  # type: ignore[type-arg]
        def __getitem__(self, _: Any) -> Any:
            raise Wordless

    class Figure:
        __module__ = "matplotlib.figure"

        @property
        def savefig(self) -> Any:
            raise Wordless

    for kind in ("image", "histogram", "text"):
        assert media.take(1, kind, Items(x=1)) and media.take(1, kind, {Key(): 1})
    assert media.take(1, "table", Sequence([1])) and media.take(1, "image", Sequence([1])) and media.take(1, "text", Key())
    assert not media.take(1, "a figure", Figure())
    assert not os.path.exists(session.file("media.ndjson"))
    assert capsys.readouterr().err.count("left out") == 4


def test_a_number_with_one_of_the_names_stays_a_metric(session: Session) -> None:
    media = Media(session)
    for value in (0.5, 3, np.float32(1), torch.tensor(2.0)):
        assert not media.take(1, "image", value) and not media.take(1, "text", value)
    assert not media.take(1, "loss", torch.ones(3)) and not media.take(1, "note", "text")


def test_arrays_of_each_kind_become_the_pixels_that_they_have(session: Session) -> None:
    colors = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert pixels(image_of(colors, 1 << 20)) == (3, 2, 3, colors.tobytes())
    assert pixels(image_of(torch.from_numpy(colors.transpose(2, 0, 1).copy()), 1 << 20)) == (3, 2, 3, colors.tobytes())
    # Three channels at either end: torch has them first.
    both = torch.rand(3, 8, 3)
    assert pixels(image_of(both, 1 << 20))[:3] == (3, 8, 3)
    grey = np.array([[0.0, 0.5], [1.0, math.nan]])
    assert pixels(image_of(grey, 1 << 20)) == (2, 2, 1, bytes([0, 128, 255, 0]))
    assert pixels(image_of(np.array([[-1.0, 1.0]]), 1 << 20))[3] == bytes([0, 255])
    assert pixels(image_of(np.array([[True, False]]), 1 << 20))[3] == bytes([255, 0])
    assert pixels(image_of(np.array([[-5, 300]]), 1 << 20))[3] == bytes([0, 255])
    assert pixels(image_of(torch.rand(4, 1, 8, 8).bfloat16(), 1 << 20))[:3] == (17, 17, 1)
    assert pixels(image_of(torch.rand(3, 4, 4, requires_grad=True), 1 << 20))[:3] == (4, 4, 3)
    # A larger one than a page can draw loses rows and columns.
    width, height, _, _ = pixels(image_of(np.zeros((3000, 3000), np.uint8), 1_000_000))
    assert width * height <= 1_000_000


def test_equal_contents_are_stored_once_and_each_step_is_listed(session: Session) -> None:
    media = Media(session)
    image = np.zeros((4, 4), np.uint8)
    for step in range(5):
        media.take(step, "image", {"a": image, "b": image})
    media.take(9, "text", "hello\nworld")
    listed = lines(session)
    assert [(line["step"], line["name"]) for line in listed[:4]] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    assert len(os.listdir(session.file("media"))) == 2
    assert content(session, listed[-1]) == b"hello\nworld"
    media.take(10, "image", [image, image + 1])
    assert [line["name"] for line in lines(session)[-2:]] == ["image/0", "image/1"]


def test_limits_are_said_once_and_hold(session: Session, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**media_module._RULES, "perName": 3, "names": 2, "itemBytes": 2_000, "sessionBytes": 5_000}
    monkeypatch.setattr(media_module, "_RULES", small)
    media = Media(session)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    media.take(0, "image", noise)
    for step in range(10):
        media.take(step, "text", {"a": f"{step}", "b": "x" * 1_000 + str(step), "c": "third"})
    listed = lines(session)
    assert [line["name"] for line in listed].count("a") == 3 and "c" not in {line["name"] for line in listed}
    said = capsys.readouterr().err
    assert said.count("image image is not kept") == 1 and said.count("text c is not kept") == 1


def test_secrets_in_texts_and_tables_are_masked(session: Session) -> None:
    media = Media(session)
    key = "sk-proj-" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY"
    media.take(1, "text", f"api_key={key}")
    media.take(1, "table", [{"prompt": f"api_key={key}", "n": 1}])
    assert all(key.encode() not in content(session, line) for line in lines(session))


def test_histograms_count_each_value_and_tables_have_their_rows() -> None:
    counted = histogram_of(torch.tensor([0.0, 1.0, math.nan, math.inf, 0.5]), 4)
    assert counted["counts"] == [1, 0, 1, 1] and counted["strange"] == 2 and counted["edges"][-1] == 1.0
    assert sum(histogram_of([5.0] * 7, 8)["counts"]) == 7
    assert histogram_of(np.full(3, math.nan), 4)["strange"] == 3
    assert table_of([{"a": 1}, {"b": math.nan}], 10, 10, 10) == {"columns": ["a", "b"], "rows": [[1, None], [None, "nan"]], "total": 2}
    assert table_of({"a": [1, 2], "b": np.array([3.5])}, 10, 10, 10)["rows"] == [[1, 3.5], [2, None]]
    cut = table_of(np.arange(40).reshape(20, 2), 3, 1, 10)
    assert cut == {"columns": ["0"], "rows": [[0], [2], [4]], "total": 20}
    assert table_of([[10**400, "x" * 50]], 3, 3, 5)["rows"] == [["1" + "0" * 400, "xxxxx"]]


def test_a_full_or_forbidden_disk_leaves_it_out_once(session: Session, capsys: Any) -> None:
    with open(session.file("media"), "w", encoding="utf-8"):
        pass  # A file where the folder should be.
    media = Media(session)
    for step in range(3):
        assert media.take(step, "text", f"step {step}")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_real_figures_and_images_are_taken_by_any_name(session: Session) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed in this environment")
    figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed in this environment")
    media = Media(session)
    figure = figures.Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 3])
    assert media.take(1, "plot", figure)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F", "I;16"):
        assert media.take(2, f"mode {mode}", image.new(mode, (3, 2)))
    listed = lines(session)
    assert len(listed) == 10 and all(content(session, line).startswith(b"\x89PNG") for line in listed)


def test_a_data_frame_is_a_table() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed in this environment")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None], "t": pandas.to_datetime(["2026-01-01", None])})
    made = table_of(frame, 10, 10, 20)
    assert made["columns"] == ["a", "b", "t"] and made["rows"][0] == [1, "x", "2026-01-01 00:00:00"] and made["total"] == 2
