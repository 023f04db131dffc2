"""How fast this machine multiplies: a number to compare nodes by, not to rank submissions by."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import structlog

log = structlog.get_logger(__name__)

_SIZE = 512
_REPEATS = 7
#: Seconds after which no further repeat begins.
_BUDGET_S = 0.6


def multiply_adds_per_second(clock: Callable[[], float] = time.perf_counter) -> float:
    """Multiply-add operations a second of a float32 product of two 512 × 512 matrices; the median of up to 7.

    With as many threads as the numeric library takes. A busy machine gives less.
    """
    a = np.random.default_rng(0).random((_SIZE, _SIZE), dtype=np.float32)
    a @ a  # the first product loads the library
    rates: list[float] = []
    started = clock()
    while len(rates) < 3 or (len(rates) < _REPEATS and clock() - started < _BUDGET_S):
        begun = clock()
        a @ a
        rates.append(_SIZE**3 / max(clock() - begun, 1e-9))
    return float(np.median(rates))


@lru_cache(maxsize=1)
def calibration() -> float:
    """The same, measured once in the life of a process and those it forks."""
    return round(multiply_adds_per_second())
