"""The parts that a checkpoint is made of, and whether each of them was kept. A grade is earned here: it is read off the list,
and a kind of which nothing was found out counts as not kept."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

#: Every kind of state that a training can have. All but "other" have to be looked for before a checkpoint is complete.
KINDS = ("weights", "optimizer", "schedule", "scaler", "random", "data", "loop", "gradients", "callback", "other")
KEPT, ABSENT, LOST = "kept", "absent", "lost"
COMPLETE, PARTIAL, WEIGHTS_ONLY = "complete", "partial", "weights only"

#: ``{kind, name, state, why, line}``, as ``checkpoint.json`` holds it. ``why`` and ``line`` ("train.py:12") are None unless
#: the part is lost; ``line`` is None when no line of the script is to blame. A loss that has a page has a ``code`` as well.
Record = Dict[str, Any]


class Ingredients:
    """The list of one checkpoint. Of two findings about one part the worse stands: what is lost is never kept again."""

    def __init__(self) -> None:
        self._found: Dict[Tuple[str, str], Record] = {}

    def kept(self, kind: str, name: str) -> None:
        """Notes that a checkpoint holds this part, and that a resume puts it back."""
        self._note(_record(kind, name, KEPT, None, None))

    def absent(self, kind: str, name: str) -> None:
        """Notes that somebody looked and the training has no such part. Not for a part that nobody looked for."""
        self._note(_record(kind, name, ABSENT, None, None))

    def lost(self, kind: str, name: str, why: str, line: Optional[str] = None, code: Optional[str] = None) -> bool:
        """Notes that a resume will not have this part. Returns whether that is news.

        Args:
            kind: One of ``KINDS``.
            name: The part as the user calls it, such as "scaler" or "random numbers of NumPy".
            why: A clause without a full stop that reads well after the name.
            line: The line of the script that is to blame, such as "train.py:12".
            code: One of ``findings``: the page that tells what to do.
        """
        return self._note(_record(kind, name, LOST, why, line, code))

    def add(self, other: Ingredients) -> None:
        """Takes in the findings of another list."""
        for record in other._found.values():
            self._note(dict(record))

    def forget(self, kind: str, name: str) -> None:
        """Drops a finding that is no longer true, such as a loader that was given up."""
        self._found.pop((kind, name), None)

    def has(self, kind: str) -> bool:
        """Tells whether anything was found out about a kind."""
        return any(record["kind"] == kind for record in self._found.values())

    def records(self) -> List[Record]:
        """Lists all findings in the order of the kinds: a kind without a finding is there as lost."""
        found = [dict(record) for record in self._found.values()]
        known = {record["kind"] for record in found}
        unseen = [_record(kind, kind, LOST, "nothing looked for it", None) for kind in KINDS[:-1] if kind not in known]
        return sorted([*found, *unseen], key=lambda record: KINDS.index(record["kind"]))

    def _note(self, record: Record) -> bool:
        kind, name, state, why = record["kind"], record["name"], record["state"], record["why"]
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of ingredient")
        before = self._found.get((kind, name))
        if before is None or _RANK[state] > _RANK[before["state"]]:
            self._found[kind, name] = record
            return True
        if state == LOST and why and why not in str(before["why"]):
            before["why"] = f"{before['why']}; {why}"
            return True
        return False


_RANK = {ABSENT: 0, KEPT: 1, LOST: 2}


def described(found: Ingredients) -> Dict[str, Any]:
    """Describes the parts for ``checkpoint.json``: the list, the grade, and what is missing."""
    records = found.records()
    return {"ingredients": records, "grade": grade_of(records), "missing": missing_of(records)}


def grade_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Returns the grade that a list has earned.

    Returns:
        "complete" when nothing is lost, "weights only" when weights are all that is kept, else "partial".
    """
    records = list(records)
    if not any(record["state"] == LOST for record in records):
        return COMPLETE
    kept = {record["kind"] for record in records if record["state"] == KEPT}
    return WEIGHTS_ONLY if kept == {"weights"} else PARTIAL


def missing_of(records: Iterable[Mapping[str, Any]]) -> List[str]:
    """Lists what is lost, a text for each."""
    return [sentence(record) for record in records if record["state"] == LOST]


def sentence(record: Mapping[str, Any]) -> str:
    """Words one finding for people, such as "scaler (its class has no load_state_dict)"."""
    name, why, line = record["name"], record["why"], record["line"]
    if record["kind"] == "loop" or record.get("code"):
        # "`total`, `hist` start again on a resume (train.py:12)"
        return f"{name} {why}" + (f" ({line})" if line else "")
    reason = ", ".join(str(part) for part in (why, line) if part)
    return f"{name} ({reason})" if reason else str(name)


def _record(kind: str, name: str, state: str, why: Optional[str], line: Optional[str], code: Optional[str] = None) -> Record:
    record: Record = {"kind": kind, "name": name, "state": state, "why": why, "line": line}
    return {**record, "code": code} if code else record
