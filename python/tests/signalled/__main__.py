"""``python -m signalled --count 100 [--seed 7] [--only 7:12]``; ``npm run signals`` calls it."""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import List

from .trial import Trials, draw


def main(words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="npm run signals --", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="trials")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default=None, metavar="SEED:NUMBER", help="one trial again")
    asked = parser.parse_args(words)
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randint(1, 99_999)
    numbers = range(asked.count)
    if asked.only:
        seed, only = map(int, asked.only.split(":"))
        numbers = range(only, only + 1)
    print(f"seed {seed}", flush=True)
    trials, began = Trials(), time.monotonic()
    lost = good = 0
    try:
        for number in numbers:
            choices = draw(random.Random(f"{seed}:{number}"))
            outcome = trials.run(choices)
            lost += outcome.lost
            good += outcome.is_good()
            verdict = "0 lost, equal bits" if outcome.is_good() else f"{outcome.lost} LOST"
            print(f"{seed}:{number} {choices}: {verdict}{' – ' if outcome.problem else ''}{outcome.problem}", flush=True)
    finally:
        trials.close()
    print(f"{good} of {len(numbers)} trials with 0 lost steps, resumed to equal bits; {lost} steps lost in all; {time.monotonic() - began:.0f} s (seed {seed})")
    return 0 if good == len(numbers) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
