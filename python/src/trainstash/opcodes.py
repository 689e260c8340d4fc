"""Looks at a pickle before it is loaded. The interpreter's own unpickler makes room for every number that an object may be kept under,
so that five bytes can ask for all memory."""

from __future__ import annotations

import pickle
from typing import Dict

#: Bytes that follow an opcode.
_FIXED: Dict[int, int] = {
    **{op[0]: 1 for op in (pickle.BININT1, pickle.BINGET, pickle.PROTO, pickle.EXT1)},
    **{op[0]: 2 for op in (pickle.BININT2, pickle.EXT2)},
    **{op[0]: 4 for op in (pickle.BININT, pickle.LONG_BINGET, pickle.EXT4)},
    **{op[0]: 8 for op in (pickle.BINFLOAT, pickle.FRAME)},
}
#: Bytes of the length that follows, and after which as many bytes come.
_COUNTED: Dict[int, int] = {
    **{op[0]: 1 for op in (pickle.SHORT_BINSTRING, pickle.SHORT_BINBYTES, pickle.SHORT_BINUNICODE, pickle.LONG1)},
    **{op[0]: 4 for op in (pickle.BINSTRING, pickle.BINBYTES, pickle.BINUNICODE, pickle.LONG4)},
    **{op[0]: 8 for op in (pickle.BINBYTES8, pickle.BINUNICODE8, pickle.BYTEARRAY8)},
}
#: Lines that follow.
_LINES: Dict[int, int] = {
    **{op[0]: 1 for op in (pickle.INT, pickle.LONG, pickle.FLOAT, pickle.STRING, pickle.UNICODE, pickle.PERSID, pickle.GET, pickle.PUT)},
    **{op[0]: 2 for op in (pickle.GLOBAL, pickle.INST)},
}
_BINPUT, _LONG_BINPUT, _PUT, _STOP = pickle.BINPUT[0], pickle.LONG_BINPUT[0], pickle.PUT[0], pickle.STOP[0]


def check_numbers(pickled: bytes) -> None:
    """Checks the numbers that objects are kept under: each is used once, so none is larger than the pickle.

    Raises:
        ValueError: One is, or the pickle breaks off.
    """
    at, end = 0, len(pickled)
    while at < end:
        opcode = pickled[at]
        at += 1
        if opcode == _BINPUT:
            at += 1
        elif opcode in _FIXED:
            at += _FIXED[opcode]
        elif opcode in _COUNTED:
            size = _COUNTED[opcode]
            at += size + int.from_bytes(pickled[at : at + size], "little")
        elif opcode == _LONG_BINPUT:
            _check(int.from_bytes(pickled[at : at + 4], "little"), end)
            at += 4
        elif opcode in _LINES:
            start = at
            for _ in range(_LINES[opcode]):
                at = pickled.find(b"\n", at) + 1
                if at == 0:
                    raise ValueError("it breaks off")
            if opcode == _PUT:
                _check(int(pickled[start : at - 1]), end)
        elif opcode == _STOP:
            return
    raise ValueError("it breaks off")


def _check(number: int, end: int) -> None:
    if number > end:
        raise ValueError(f"it keeps an object under the number {number}, which so small a file does not need")
