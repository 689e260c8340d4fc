"""Attacks the Python package's reader of checkpoints with changed files, guided by the code that they reach (atheris, libFuzzer).

Usage: python_reader.py REPORT [options of libFuzzer] CORPUS. Whatever a file holds, reading it gives plain values and tensors or one
of three errors, and runs nothing. The number of executions is written to REPORT: libFuzzer ends the process by itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile

import atheris
import torch

with atheris.instrument_imports(include=["trainstash"]):
    from trainstash import ptfile, ptread
    from trainstash.rebuilding import FUNCTIONS

_STORAGES, _STORAGE_BYTES = 8, 8_192
_ALLOWED = (ValueError, OSError, MemoryError)
_report = sys.argv.pop(1)
_folder = tempfile.mkdtemp(prefix="trainstash-fuzz-")
_path = os.path.join(_folder, "input.pt")
_started: "list[str]" = []
_executions = 0


def _seeds(corpus: str) -> None:
    os.makedirs(corpus, exist_ok=True)
    weight = torch.arange(6.0).reshape(2, 3)
    states = [
        {"model": {"w": weight, "tied": weight, "b": weight[0]}, "trainstash": {"step": 3, "seed": 1, "rng": {"torch": torch.get_rng_state()}}},
        {"odd": [torch.tensor(1j), torch.zeros(0), torch.ones(2, dtype=torch.bfloat16)[::2], {1, 2}, (None, True, 1.5, b"x", "ü", 2**80)]},
    ]
    for number, state in enumerate(states):
        path = os.path.join(corpus, f"seed-{number}")
        ptfile.write(state, path)
        # Also the pickle by itself, see `_write`.
        with zipfile.ZipFile(path) as archive, open(os.path.join(corpus, f"pickle-{number}"), "wb") as file:
            file.write(archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl"))))


def _words(path: str) -> None:
    """Writes libFuzzer's dictionary: opcodes with the names that the reader knows."""
    names = [f"c{module}\\x0a{name}\\x0a" for module, name in [*FUNCTIONS, ("collections", "OrderedDict"), ("torch", "FloatStorage"), ("builtins", "set")]]
    opcodes = [")R", "\\x85R", "\\x86R", "\\x87R", "tR", "Q", "}", "]", "(", "s", "u", "e", "b", "q\\x00", "h\\x00", "X\\x07\\x00\\x00\\x00storage", "K\\x01"]
    with open(path, "w") as file:
        file.writelines(f'"{word}"\n' for word in [*names, *opcodes])


def _write(data: bytes) -> None:
    if data[:2] == b"PK":
        with open(_path, "wb") as file:
            file.write(data)
        return
    # A pickle inside of an archive that is right: its checksum would stop nearly every change.
    with zipfile.ZipFile(_path, "w") as archive:
        archive.writestr("a/data.pkl", data)
        for number in range(_STORAGES):
            archive.writestr(f"a/data/{number}", bytes(_STORAGE_BYTES))


def _attack(data: bytes) -> None:
    global _executions
    _executions += 1
    if _executions % 1_000 == 0:
        _note()
    _write(data)
    try:
        ptread.read(_path)
    except _ALLOWED:
        pass
    if _started:
        raise AssertionError(f"reading it has started something: {_started}")


def _note() -> None:
    with open(_report, "w") as file:
        file.write(str(_executions))


def _audit(event: str, arguments: "tuple[object, ...]") -> None:
    if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "exec"):
        _started.append(f"{event} {arguments!r:.100}")


if __name__ == "__main__":
    if not os.path.isfile(sys.argv[-1]):
        _seeds(sys.argv[-1])
    _words(os.path.join(_folder, "words"))
    sys.argv.insert(1, f"-dict={os.path.join(_folder, 'words')}")
    atheris.Setup(sys.argv, _attack)
    sys.addaudithook(_audit)
    atheris.Fuzz()
