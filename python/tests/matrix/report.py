"""Counts outcomes, and prints those that should not be."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any, Dict

from .space import Choices
from .trial import (
    BROKEN,
    COUNTED,
    DIFFERENT_COMPLETE,
    DIFFERENT_PARTIAL,
    EQUAL_COMPLETE,
    EQUAL_PARTIAL,
    INVALID,
    NOT_REACHED,
    Outcome,
)

_SURPRISING = (DIFFERENT_COMPLETE, BROKEN, INVALID)
_LEAST_COMPLETE = 0.95
# The package does not name a variable that has its first value, so one that is named had another. That bits are equal without it is
# luck: a patience that never ran out.
_VARIABLES = re.compile(r"^(the resume from step [\d,]+ was not exact: )?`[\w.]+`(, `[\w.]+`)* starts? again on a resume")


class Tally:
    """Outcomes of one framework."""

    def __init__(self, framework: str, seed: int, shows_partial: bool = False) -> None:
        self._framework = framework
        self._seed = seed
        self._shown = (*_SURPRISING, EQUAL_PARTIAL) if shows_partial else _SURPRISING
        self._began = time.monotonic()
        self._verdicts: Counter[str] = Counter()
        self._causes: Dict[str, Counter[str]] = {EQUAL_PARTIAL: Counter(), DIFFERENT_PARTIAL: Counter()}
        self._told_late = 0
        # Equal and partial, for nothing but plain variables of the script's own loop, which had other values.
        self._by_chance = 0
        self._trainings: set[int] = set()

    @property
    def counted(self) -> int:
        """Combinations that could be judged."""
        return sum(self._verdicts[verdict] for verdict in COUNTED)

    def add(self, number: int, choices: Choices, outcome: Outcome, everything: bool = False) -> None:
        self._verdicts[outcome.verdict] += 1
        self._trainings.add(number)
        self._told_late += outcome.told_late
        self._by_chance += outcome.verdict == EQUAL_PARTIAL and all(map(_VARIABLES.search, outcome.missing))
        if outcome.verdict in self._causes:
            self._causes[outcome.verdict].update({_kind(text) for text in outcome.missing})
        if everything or outcome.verdict in self._shown:
            print(self._line(number, choices, outcome), flush=True)
        elif outcome.verdict != NOT_REACHED and self.counted % 50 == 0:
            print(f"{self.counted} combinations, {time.monotonic() - self._began:.0f} s", flush=True)

    def is_good(self) -> bool:
        return not any(self._verdicts[verdict] for verdict in _SURPRISING) and self.share() >= _LEAST_COMPLETE

    def share(self) -> float:
        """Returns the share of the complete ones among those that a resume owes its equal bits to itself. Variables that had other values
        did start again: the same script with less patience would have come out different, so that *partial* is right there."""
        return self._share_of(self._verdicts[EQUAL_PARTIAL] - self._by_chance)

    def share_of_all(self) -> float:
        """Returns the share of the complete ones among all equal ones."""
        return self._share_of(self._verdicts[EQUAL_PARTIAL])

    def _share_of(self, partial: int) -> float:
        equal = self._verdicts[EQUAL_COMPLETE] + partial
        return self._verdicts[EQUAL_COMPLETE] / equal if equal else 1.0

    def figures(self) -> Dict[str, Any]:
        counts = {verdict: self._verdicts[verdict] for verdict in COUNTED}
        counts["equal by chance"] = self._by_chance
        return {"framework": self._framework, "seed": self._seed, "trainings": len(self._trainings), "combinations": self.counted, **counts}

    def summary(self) -> str:
        seconds = time.monotonic() - self._began
        lines = [f"{self._framework}: {self.counted} combinations of {len(self._trainings)} trainings in {seconds:.0f} s, seed {self._seed}"]
        lines += [f"  {self._verdicts[verdict]:5} {verdict}" for verdict in COUNTED]
        lines += [f"  {self._verdicts[verdict]:5} {verdict}" for verdict in (NOT_REACHED, INVALID) if self._verdicts[verdict]]
        lines.append(f"  {self._by_chance} are equal by chance: they lack plain variables of the loop alone, which did start again")
        lines.append(f"  {100 * self.share():.1f} % of the other equal ones are complete (at least {100 * _LEAST_COMPLETE:.0f} % are wanted), {100 * self.share_of_all():.1f} % of all")
        lines.append(f"  {self._told_late} were complete until the resume itself said what is not kept")
        for verdict, causes in self._causes.items():
            lines += [f"  {verdict}, because of: {count} × {cause}" for cause, count in causes.most_common(12)]
        return "\n".join(lines)

    def _line(self, number: int, choices: Choices, outcome: Outcome) -> str:
        shown = ", ".join(f"{name} {value}" for name, value in choices.items())
        kills = "; then ".join(map(str, outcome.kills))
        lines = [f"{outcome.verdict.upper()}  --framework {self._framework} --only {self._seed}:{number}", f"  {shown}"]
        lines += [f"  {label}: {text}" for label, text in (("ended", kills), ("found", outcome.detail), ("said", "; ".join(outcome.missing))) if text]
        return "\n".join(lines)


def _kind(text: str) -> str:
    """Lets texts of one cause fall together: no numbers, no names of variables."""
    text = re.sub(r"^the resume from step [\d,]+ was not exact: .*", "an earlier resume that was not exact", text)
    return re.sub(r"\d[\d,]*", "N", text)
