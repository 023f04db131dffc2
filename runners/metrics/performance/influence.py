"""Intervals of smooth statistics from what each item contributes to their error (delta method)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from runners.context import IntArray
from runners.statistics.bootstrap import group_sums
from runners.statistics.intervals import Interval, Z, student, wilson

FloatArray = npt.NDArray[np.float64]


def logistic(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def logit_interval(value: float, deviation: float, *, point: float = Z) -> tuple[float, float]:
    """Interval on the logit scale of a value inside (0, 1): `point` times this standard deviation to both sides."""
    centre, half = math.log(value / (1 - value)), point * deviation / (value * (1 - value))
    return logistic(centre - half), logistic(centre + half)


def share_like_interval(value: float, influence: FloatArray, codes: IntArray | None, smallest: int) -> Interval:
    """Interval of a value in [0, 1] whose error is the sum of `influence`, shape (n,), over items.

    Student's t on the logit scale, with `smallest` - 1 degrees of freedom: the units of the smallest class, on which
    the spread rests. `codes` sums the influence of items that share a cluster. Wilson over `smallest` where there is no
    spread to go by: at 0 or 1, and where `smallest` is 1, for how one item would vary cannot be told from the item.
    """
    if codes is not None:
        sums = group_sums(codes, influence[:, None])[:, 0]
        if sums.size < 2:
            return None, None
        variance = float((sums**2).sum()) * sums.size / (sums.size - 1)
    else:
        variance = float((influence**2).sum())
    if value <= 0.0 or value >= 1.0 or variance == 0.0 or smallest < 2:
        return wilson(value * smallest, smallest)
    return logit_interval(value, math.sqrt(variance), point=student(smallest - 1))
