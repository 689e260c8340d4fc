"""The agreement of several ranks on the state that a training goes on from."""

from __future__ import annotations

import hashlib
import os
from typing import Any, List, Mapping, Optional, Tuple

from . import ResumeError
from .distributed import Group
from .sharded import FOLDER

#: The end of a checkpoint's file has the checksum of each of its tensors.
_END_BYTES = 1 << 20

_NOTHING_STARTED = " Nothing was started."

#: One rank's answer: what went wrong, the identity of its checkpoint, and that one's step.
_Answer = Tuple[Optional[str], Optional[str], Optional[int]]


def require_same(group: Group, path: Optional[str], saved: Optional[Mapping[str, Any]], problem: Optional[str]) -> None:
    """Compares what the ranks have found. Each of them has to call it.

    Args:
        group: The ranks.
        path: Place of this rank's checkpoint; None: it has none.
        saved: Content of the checkpoint.
        problem: Reason why this rank cannot read its checkpoint.

    Raises:
        ResumeError: On all ranks, with the same words: they would not go on from the same state.
    """
    step = int(saved["trainstash"]["step"]) if saved is not None else None
    answers: List[_Answer] = group.gather((problem, identity(path) if path else None, step))
    problems = {answer[0] for answer in answers}
    if problems == {None} and len({answer[1] for answer in answers}) == 1:
        return
    if len(problems) == 1 and None not in problems:
        raise ResumeError(str(answers[0][0]))
    found = "; ".join(f"rank {rank} {_finding(answer)}" for rank, answer in enumerate(answers))
    raise ResumeError(
        f"The ranks of this training cannot go on from the same state: {found}.{_NOTHING_STARTED} Put the checkpoint where "
        "each host can read it, and give that path as resume=."
    )


def _finding(answer: _Answer) -> str:
    problem, mark, step = answer
    if problem is not None:
        reason = problem.removesuffix(_NOTHING_STARTED).rstrip(".")
        return f"cannot read its checkpoint ({reason})"
    if mark is None or step is None:
        return "has no checkpoint"
    return f"has one of step {step:,} (file {mark[:8]})"


def identity(path: str) -> str:
    """Computes what tells two checkpoints apart, without reading all of a file: its size, a digest of its end, and its shards."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(0, size - _END_BYTES))
        digest = hashlib.sha256(b"%d %b" % (size, file.read()))
    shards = os.path.join(os.path.dirname(path), FOLDER)
    for name in sorted(os.listdir(shards)) if os.path.isdir(shards) else []:
        digest.update(f"{name} {os.path.getsize(os.path.join(shards, name))}\n".encode())
    return digest.hexdigest()
