"""Closed-form 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Two-sided 95 % point of the normal distribution.
Z = 1.959963984540054

#: A share with fewer hits or fewer misses than this has a score interval: a bootstrap of so few is too narrow.
FEW = 20

Interval = tuple[float | None, float | None]


def student(freedom: int) -> float:
    """Two-sided 95 % point of Student's t distribution; at least one degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1, freedom), 0.975))


def wilson(successes: float, n: float, *, z: float = Z) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927). Never of zero width, never outside [0, 1].

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"no proportion: {successes} of {n}")
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def mover(weights: Sequence[float], successes: Sequence[float], trials: Sequence[float]) -> tuple[float, float]:
    """Interval of a weighted sum of independent proportions from their Wilson intervals.

    With weights (1, -1) this is Newcombe's hybrid score interval. Used where a bootstrap collapses to a
    point because every observed rate is 0 or 1. Source: Zou and Donner, Statistics in Medicine 27 (2008).
    """
    value = below = above = 0.0
    for weight, k, n in zip(weights, successes, trials, strict=True):
        low, high = wilson(k, n)
        p = k / n
        value += weight * p
        down, up = (low, high) if weight > 0 else (high, low)
        below += (weight * (p - down)) ** 2
        above += (weight * (up - p)) ** 2
    return value - math.sqrt(below), value + math.sqrt(above)


def mover_ratio(successes: tuple[float, float], trials: tuple[float, float]) -> Interval:
    """Interval of p1/p2 from two Wilson intervals (Donner and Zou 2012); no upper end where p2 may be 0."""
    p1, p2 = successes[0] / trials[0], successes[1] / trials[1]
    l1, u1 = wilson(successes[0], trials[0])
    l2, u2 = wilson(successes[1], trials[1])
    product = p1 * p2
    low_root = product**2 - l1 * u2 * (2 * p1 - l1) * (2 * p2 - u2)
    low_divisor = u2 * (2 * p2 - u2)
    high_root = product**2 - u1 * l2 * (2 * p1 - u1) * (2 * p2 - l2)
    high_divisor = l2 * (2 * p2 - l2)
    low = (product - math.sqrt(max(low_root, 0.0))) / low_divisor if low_divisor > 0 else None
    high = (product + math.sqrt(max(high_root, 0.0))) / high_divisor if high_divisor > 0 else None
    return (None if low is None else max(0.0, low)), high


def reaching_zero(value: float, interval: Interval) -> Interval:
    """The interval of a size that cannot be below 0 and that noise makes larger, from one of replicates.

    These lie above 0 even where the truth is 0: the lower end is mirrored about the value where that is lower.
    """
    low, high = interval
    if low is None or high is None:
        return None, None
    return max(0.0, min(low, 2 * value - high)), high


def quantile_interval(values: npt.ArrayLike, q: float) -> tuple[float, float | None, float | None]:
    """A quantile and its distribution-free interval by order statistics (binomial).

    Returns `(quantile, low, high)`; an end is None where the sample is too small to give one
    (the upper end of p95 needs 72 values).
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = ordered.size
    if n == 0:
        raise ValueError("no values")
    # X_(j) is below the quantile with probability P(Binomial(n, q) >= j).
    below = int(binom.ppf(0.025, n, q))
    above = int(binom.ppf(0.975, n, q)) + 1
    low = float(ordered[below - 1]) if below >= 1 else None
    high = float(ordered[above - 1]) if above <= n else None
    return float(np.quantile(ordered, q)), low, high
