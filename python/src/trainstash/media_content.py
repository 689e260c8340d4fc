"""Makes files of what scripts have: images of arrays, figures and Pillow's images; histograms and tables of arrays and lists. Needs
no library but the one that made the object."""

from __future__ import annotations

import io
import math
import struct
import sys
import zlib
from typing import Any, Dict, List, Sequence

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_GRID = 64


def is_image(value: Any) -> bool:
    """Tells whether an object is an image whatever it is called: a figure of matplotlib, or an image of Pillow."""
    module = type(value).__module__ or ""
    if module.startswith("PIL."):
        return hasattr(value, "save") and hasattr(value, "mode")
    return module.startswith("matplotlib.") and hasattr(value, "savefig")


def image_of(value: Any, pixels: int) -> bytes:
    """Makes a PNG file, or takes one of another format as it is.

    Raises:
        ValueError: It is no image.
    """
    if isinstance(value, (bytes, bytearray)):
        content = bytes(value)
        if content.startswith(_SIGNATURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP"):
            return content
        raise ValueError("these bytes are no PNG, JPEG, GIF or WebP file")
    if hasattr(value, "savefig"):
        buffer = io.BytesIO()
        value.savefig(buffer, format="png")
        return buffer.getvalue()
    if hasattr(value, "save") and hasattr(value, "mode"):
        buffer = io.BytesIO()
        image = value if value.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else value.convert("RGB")
        image.save(buffer, format="PNG")
        return buffer.getvalue()
    return _png(_pixels_of(value), pixels)


def _array(value: Any) -> Any:
    """Makes a NumPy array of what a library has."""
    import numpy as np

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
        return value.numpy()
    if hasattr(value, "numpy") and callable(value.numpy):
        return np.asarray(value.numpy())
    return np.asarray(value)


def _pixels_of(value: Any) -> Any:
    """Makes rows of pixels with one to four bytes each. Channels are the last axis, or the first as torch has them."""
    import numpy as np

    array = _array(value)
    if array.dtype == object or array.size == 0:
        raise ValueError(f"an array of {array.dtype} with the shape {array.shape} is no image")
    is_torch = type(value).__module__.partition(".")[0] == "torch"
    if array.ndim == 4:
        array = _grid([_channels_last(one, is_torch) for one in array[:_GRID]])
    else:
        array = _channels_last(array, is_torch)
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind in "iu":
        return np.clip(array, 0, 255).astype(np.uint8)
    numbers = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    least, most = float(numbers.min()), float(numbers.max())
    if least < 0 or most > 1:
        numbers = (numbers - least) / ((most - least) or 1.0)
    return (numbers * 255 + 0.5).astype(np.uint8)


def _channels_last(array: Any, first: bool) -> Any:
    if array.ndim == 2:
        return array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"an array with the shape {array.shape} is no image")
    can_be_first, can_be_last = array.shape[0] in (1, 2, 3, 4), array.shape[2] in (1, 2, 3, 4)
    if can_be_first and (first or not can_be_last):
        return array.transpose(1, 2, 0)
    if can_be_last:
        return array
    raise ValueError(f"an array with the shape {array.shape} is no image")


def _grid(images: Sequence[Any]) -> Any:
    """Puts images of one size beside and below each other."""
    import numpy as np

    columns = math.ceil(math.sqrt(len(images)))
    height, width, channels = images[0].shape
    rows = math.ceil(len(images) / columns)
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), dtype=images[0].dtype)
    for i, one in enumerate(images):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = one
    return sheet


def _png(array: Any, pixels: int) -> bytes:
    """Writes a PNG file. A larger image loses rows and columns."""
    height, width, channels = array.shape
    step = math.ceil(math.sqrt(height * width / pixels)) if height * width > pixels else 1
    array = array[::step, ::step]
    height, width, channels = array.shape
    lines = b"".join(b"\x00" + row.tobytes() for row in array)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    # The fastest level: the training waits for it.
    return _SIGNATURES[0] + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines, 1)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def histogram_of(value: Any, bins: int) -> Dict[str, Any]:
    """Counts the values of an array in bins of equal width. Those that are NaN or infinite are counted beside them."""
    import numpy as np

    numbers = _array(value).astype(np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return {"edges": [0.0, 1.0], "counts": [0], "strange": int(numbers.size)}
    counts, edges = np.histogram(finite, bins=bins)
    return {"edges": edges.tolist(), "counts": counts.tolist(), "strange": int(numbers.size - finite.size)}


def tables_in(value: Dict[Any, Any]) -> bool:
    """Tells whether a dict holds tables by name, rather than the columns of one."""
    return bool(value) and all(hasattr(one, "columns") or _has_rows(one) for one in value.values())


def _has_rows(value: Any) -> bool:
    if hasattr(value, "ndim"):
        return bool(value.ndim == 2)
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], (list, tuple, dict))


def table_of(value: Any, most_rows: int, most_columns: int, longest: int) -> Dict[str, Any]:
    """Makes a table of a data frame, a list of dicts or of lists, a dict of columns, or an array with two axes.

    Raises:
        ValueError: It is none of them.
    """
    columns: List[str]
    if hasattr(value, "columns") and hasattr(value, "itertuples"):
        columns = [str(name) for name in value.columns]
        total = len(value)
        rows = [list(row) for row in value.head(most_rows).itertuples(index=False)]
    elif isinstance(value, dict):
        columns = [str(name) for name in value]
        lists = [list(one) for one in value.values()]
        total = max(map(len, lists), default=0)
        rows = [[one[i] if i < len(one) else None for one in lists] for i in range(min(total, most_rows))]
    else:
        listed = list(value.tolist() if hasattr(value, "tolist") else value)
        total = len(listed)
        listed = listed[:most_rows]
        if all(isinstance(row, dict) for row in listed):
            keys = list(dict.fromkeys(key for row in listed for key in row))
            columns = [str(key) for key in keys]
            rows = [[row.get(key) for key in keys] for row in listed]
        elif all(isinstance(row, (list, tuple)) for row in listed):
            columns = [str(i) for i in range(max(map(len, listed), default=0))]
            rows = [list(row) for row in listed]
        else:
            raise ValueError("a table is a list of dicts or of lists, a dict of columns, a data frame or an array with two axes")
    names = [name[:longest] for name in columns[:most_columns]]
    cells = [[_cell(one, longest) for one in row[:most_columns]] for row in rows]
    return {"columns": names, "rows": cells, "total": total}


def _cell(value: Any, longest: int) -> Any:
    """Makes what JSON can hold: numbers stay numbers, all else becomes a text."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        try:
            value = value.item()
        except Exception:
            return str(value)[:longest]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)[:longest]
