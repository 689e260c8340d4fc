"""One combination: its undisturbed run, the same run with kills and resumes, and how the two compare."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from pairs import Launcher

from .hooks import KILLS, VARIABLE
from .space import NEVER, Choices, Course, Kill, Space
from .states import differences

EQUAL_COMPLETE = "equal and complete"
EQUAL_PARTIAL = "equal and partial"
DIFFERENT_PARTIAL = "different and partial"
DIFFERENT_COMPLETE = "different and complete"
#: The resume ended with an error.
BROKEN = "not resumed"
#: The launch came to its end before the kill, or no checkpoint was whole by then: there is nothing to compare.
NOT_REACHED = "not reached"
#: The generated script itself does not run.
INVALID = "invalid script"
COUNTED = (EQUAL_COMPLETE, EQUAL_PARTIAL, DIFFERENT_PARTIAL, DIFFERENT_COMPLETE, BROKEN)

_SECOND_KILL = 0.2
# Checkpoints are synced to the disk before they count, which is most of the time that a small training takes.
_MEMORY = "/dev/shm"


class Outcome(NamedTuple):
    verdict: str
    kills: List[Kill]
    #: The difference, or the error's text.
    detail: str
    #: The parts that are not kept, of all checkpoints that were resumed from and of the last one.
    missing: List[str]
    #: The checkpoints were complete, and only the resume said that something is not kept.
    told_late: bool = False


class Session:
    """A session folder of one launch that has ended."""

    def __init__(self, folder: Path, status: int) -> None:
        self.folder = folder
        self.status = status

    @property
    def was_killed(self) -> bool:
        return os.WIFSIGNALED(self.status)

    @property
    def code(self) -> int:
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else -1

    @property
    def outcome(self) -> str:
        path = self.folder / "exit.json"
        return str(json.loads(path.read_text())["outcome"]) if path.exists() else ""

    def last_words(self) -> str:
        return "\n".join((self.folder / "output.log").read_text().splitlines()[-12:])

    def checkpoint(self) -> Optional[Path]:
        inbox = self.folder / "inbox"
        names = [name for name in sorted(os.listdir(inbox)) if not name.startswith(".")]
        return inbox / names[-1] if names else None

    def metrics(self) -> Dict[int, Dict[str, Any]]:
        """Returns the newest metrics of each step."""
        told: Dict[int, Dict[str, Any]] = {}
        for event in self._events("metrics"):
            told.setdefault(int(event["step"]), {}).update(event["values"])
        return told

    def course(self) -> Course:
        epochs: List[int] = []
        newest, step = 0, 0
        for event in self._events("metrics"):
            step = max(step, int(event["step"]))
            if event["epoch"] > newest:
                newest = event["epoch"]
                epochs.append(int(event["step"]))
        return Course(step, epochs)

    def _events(self, kind: str) -> List[Dict[str, Any]]:
        lines = (self.folder / "events.ndjson").read_text().splitlines()
        return [event for event in map(json.loads, filter(None, lines)) if event["type"] == kind]


class Trial:
    """All launches of one combination; its folder is removed by ``close``."""

    def __init__(self, space: Space, launcher: Launcher, choices: Choices) -> None:
        self.space = space
        self.choices = choices
        self._launcher = launcher
        self._folder = Path(tempfile.mkdtemp(prefix="trainstash-matrix-", dir=_MEMORY if os.path.isdir(_MEMORY) else None))
        self._count = 0
        (self._folder / "train.py").write_text(space.script(choices))
        self.whole = self._launch(NEVER)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def problem(self) -> Optional[str]:
        """Why the undisturbed run is of no use."""
        if self.whole.code != 0 or self.whole.checkpoint() is None:
            return self.whole.last_words()
        return None

    def draw(self, dice: random.Random) -> List[Kill]:
        course = self.whole.course()
        kinds = self.space.kills(self.choices)
        kills = [draw_kill(dice, kinds, course, self.space.monitor(self.choices) is not None, 1)]
        if dice.random() < _SECOND_KILL and kills[0].at < course.steps - 2:
            kills.append(draw_kill(dice, kinds, course, False, kills[0].at + 1))
        return kills

    def run(self, kills: List[Kill]) -> Outcome:
        newest: Optional[Path] = None
        missing: List[str] = []
        for kill in kills:
            killed = self._launch(kill.policy, newest, kill)
            if not _ended_as(kill, killed):
                if killed.code != 0 and not killed.was_killed:
                    return Outcome(BROKEN, kills, killed.last_words(), missing)
                return Outcome(NOT_REACHED, kills, "", missing)
            newest = killed.checkpoint() or newest
            if newest is None:
                return Outcome(NOT_REACHED, kills, "no checkpoint", missing)
            missing += _facts(newest)["missing"]
        assert newest is not None
        resumed = self._launch(NEVER, newest)
        if resumed.code != 0:
            return Outcome(BROKEN, kills, resumed.last_words(), missing)
        return self._compared(kills, newest, resumed, missing)

    def _compared(self, kills: List[Kill], newest: Path, resumed: Session, missing: List[str]) -> Outcome:
        # A training that was at its end already writes nothing new.
        last = resumed.checkpoint() or newest
        whole = self.whole.checkpoint()
        assert whole is not None
        other = differences(self.space.state(whole), self.space.state(last))
        first, second = self.whole.metrics(), resumed.metrics()
        start = int(_facts(newest)["step"])
        # A resume tells of the step that it starts from only what belongs to the end of its epoch.
        for step, values in second.items():
            known = first.get(step, {})
            compared = values if step == start else {**known, **values}
            other += [f"{name} of step {step}" for name in compared if known.get(name) != values.get(name)]
        other += [f"step {step}" for step in first if step > start and step not in second]
        late = list(_facts(last)["missing"])
        grades = [not missing, not late]
        said = list(dict.fromkeys([*missing, *late]))
        verdict = {
            (True, True): EQUAL_COMPLETE, (True, False): EQUAL_PARTIAL, (False, True): DIFFERENT_COMPLETE, (False, False): DIFFERENT_PARTIAL,
        }[not other, all(grades)]  # fmt: skip
        return Outcome(verdict, kills, ", ".join(other[:4]) + (f" and {len(other) - 4} more" if len(other) > 4 else ""), said, not missing and bool(late))

    def _launch(self, policy: Mapping[str, Any], resume: Optional[Path] = None, kill: Optional[Kill] = None) -> Session:
        self._count += 1
        name = f"session{self._count}"
        folder = self._folder / name
        (folder / "inbox").mkdir(parents=True)
        facts = _facts(resume) if resume else None
        record = {
            "session": name, "run": "run", "params": {}, "seed": 0, "purpose": "train", "untilStep": None, "untilEpoch": None,
            "monitor": self.space.monitor(self.choices), "checkpoint": dict(policy), "command": {"dir": str(self._folder / "files")},
            "resume": facts and {"directory": str(resume), "checkpoint": facts["id"], "step": facts["step"]},
        }  # fmt: skip
        (folder / "launch.json").write_text(json.dumps(record))
        env = {"TRAINSTASH_SESSION": str(folder), **self.space.env(self.choices)}
        if kill is not None:
            env[VARIABLE] = json.dumps({"kind": kill.kind, "at": kill.at})
        status = self._launcher.run(
            script=str(self._folder / "train.py"), folder=str(folder), words=[], output=str(folder / "output.log"), env=env, before="matrix.hooks"
        )
        return Session(folder, status)


def draw_kill(dice: random.Random, kinds: Any, course: Course, monitored: bool, first: int) -> Kill:
    """Boundaries are as likely as everything between them."""
    first = min(first, max(1, course.steps - 1))
    boundaries = [first, course.steps, *course.epochs, *course.last_of_epochs]
    inside = [step for step in boundaries if first <= step <= course.steps]
    at = dice.choice(inside) if dice.random() < 0.5 else dice.randint(first, course.steps)
    kind = dice.choice(kinds)
    each = dice.choice([1, 1, 2, 3, 5, at])
    policies = [{**NEVER, "everySteps": each}, {**NEVER, "everyEpochs": 1}, {**NEVER, "everySteps": each, "everyEpochs": 1}]
    if monitored:
        policies.append({**NEVER, "onBest": True})
    policy = dice.choice([policies[0], policies[0], *policies])
    if kind == "writing":
        return Kill(kind, dice.randint(2, 4), {**NEVER, "everySteps": dice.choice([1, 2, 3])})
    if kind == "validation":
        return Kill(kind, dice.randint(1, 4), policy)
    if kind in ("paused", "terminated", "asked"):
        policy = NEVER
    return Kill(kind, at, policy)


def _ended_as(kill: Kill, session: Session) -> bool:
    if kill.kind in KILLS:
        return session.was_killed
    if kill.kind in ("paused", "terminated"):
        return session.outcome == "paused"
    return session.code != 0


def _facts(checkpoint: Path) -> Dict[str, Any]:
    facts: Dict[str, Any] = json.loads((checkpoint / "checkpoint.json").read_text())
    return facts


