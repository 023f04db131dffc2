"""How fast one processor of this machine multiplies: what makes times of different nodes comparable."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

_SIZE = 512
_REPEATS = 7
#: Seconds after which no further repeat begins.
_BUDGET_S = 0.6


def multiply_adds_per_second(clock: Callable[[], float] = time.perf_counter) -> float:
    """Multiply-add operations a second of a float32 product of two 512 × 512 matrices; the best of up to 7.

    With one thread: a sandbox has a share of the processors that the competition says, not all of them. The best,
    for whatever else the machine does only takes time away, and the number is kept as long as the node runs.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        a = np.random.default_rng(0).random((_SIZE, _SIZE), dtype=np.float32)
        a @ a  # the first product loads the library
        rates: list[float] = []
        started = clock()
        while len(rates) < 3 or (len(rates) < _REPEATS and clock() - started < _BUDGET_S):
            begun = clock()
            a @ a
            rates.append(_SIZE**3 / max(clock() - begun, 1e-9))
    return max(rates)


@lru_cache(maxsize=1)
def calibration() -> float:
    """The same, measured once in the life of a process and those it forks."""
    return round(multiply_adds_per_second())
