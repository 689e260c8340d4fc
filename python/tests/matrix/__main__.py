"""``python -m matrix --minutes 30 [--framework torch] [--count 500] [--seed 7] [--only 7:12]``; ``npm run matrix`` calls it."""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
import threading
import time
from typing import List, Optional

from pairs import Launcher

from .report import Tally
from .space import Space
from .trial import INVALID, NOT_REACHED, Outcome, Trial

#: Kills that are tried of one undisturbed run.
_KILLS_EACH = 4


class Matrix:
    """The trials, drawn from the seed until enough was tried or the time is over. Several threads share the numbers."""

    def __init__(self, space: Space, seed: int, minutes: float, count: Optional[int], only: Optional[int], shows_partial: bool = False) -> None:
        self._space = space
        self._seed = seed
        self._until = time.monotonic() + minutes * 60
        self._count = count
        self._only = only
        self._next = 0 if only is None else only
        self._lock = threading.Lock()
        self.tally = Tally(space.name, seed, shows_partial)

    def run(self, jobs: int) -> None:
        threads = [threading.Thread(target=self._work) for _ in range(jobs if self._only is None else 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        launcher = Launcher(self._space.preload)
        try:
            while True:
                number = self._take()
                if number is None:
                    return
                self._try(launcher, number)
        finally:
            launcher.close()

    def _take(self) -> Optional[int]:
        with self._lock:
            enough = self._count is not None and self.tally.counted >= self._count
            if enough or time.monotonic() > self._until or (self._only is not None and self._next > self._only):
                return None
            self._next += 1
            return self._next - 1

    def _try(self, launcher: Launcher, number: int) -> None:
        choices = self._space.draw(random.Random(f"{self._seed}:{number}"))
        trial = Trial(self._space, launcher, choices)
        try:
            if self._only is not None:
                print(self._space.script(choices))
            problem = trial.problem
            if problem is not None:
                self._add(number, trial, Outcome(INVALID, [], problem, []))
                return
            reached = 0
            for attempt in range(2 * _KILLS_EACH):
                outcome = trial.run(trial.draw(random.Random(f"{self._seed}:{number}:{attempt}")))
                self._add(number, trial, outcome)
                reached += outcome.verdict != NOT_REACHED
                if reached == _KILLS_EACH or time.monotonic() > self._until:
                    return
        finally:
            trial.close()

    def _add(self, number: int, trial: Trial, outcome: Outcome) -> None:
        with self._lock:
            self.tally.add(number, trial.choices, outcome, everything=self._only is not None)


def main(words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="npm run matrix --", description=__doc__)
    parser.add_argument("--framework", default="torch")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--count", type=int, default=None, help="combinations; the undisturbed runs are not counted")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default=None, metavar="SEED:NUMBER", help="one training again, with its script and all outcomes")
    parser.add_argument("--partial", action="store_true", help="prints those that are equal and partial, too")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", default=None, metavar="FILE", help="writes the figures there")
    asked = parser.parse_args(words)
    seed, only = asked.seed, None
    if asked.only:
        seed, only = map(int, asked.only.split(":"))
    if seed is None:
        seed = random.SystemRandom().randint(1, 99_999)
    space: Space = importlib.import_module(f".spaces.{asked.framework}", __package__).SPACE
    print(f"{space.name}: seed {seed}", flush=True)
    matrix = Matrix(space, seed, asked.minutes, asked.count, only, asked.partial)
    matrix.run(asked.jobs)
    print(matrix.tally.summary())
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(matrix.tally.figures(), file, indent=2)
    return 0 if matrix.tally.is_good() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
