"""Runs a target on inputs that are only drawn at random, in this process, and repeatably."""

import time
from pathlib import Path
from random import Random
from types import ModuleType

from tests.conformance.fuzz.mutation import Mutator
from tests.conformance.fuzz.watch import Figures, Watch

MAX_BYTES = 16_384
_POOL = 1_000
"""How many inputs may be the parents of new ones."""


def run(
    target: ModuleType, *, inputs: int, seconds: float, seed: int, figures: Path, crashes: Path
) -> Figures:
    """Check so many inputs, or as many as there is time for.

    Raises:
        AssertionError: an input broke a rule.
    """
    watch = Watch(target.check, figures, crashes)
    random = Random(seed)
    mutator = Mutator(seed, target.LINES, MAX_BYTES)
    pool = list(target.SEEDS)
    ends = time.monotonic() + seconds
    for number in range(inputs):
        data = (
            pool[number] if number < len(target.SEEDS) else mutator.made_from(random.choice(pool))
        )
        watch.check(data)
        if number % 20 == 0:  # children of children reach further
            pool.append(data)
            if len(pool) > _POOL:
                del pool[random.randrange(len(target.SEEDS), len(pool))]
            if time.monotonic() > ends:
                break
    return watch.figures
