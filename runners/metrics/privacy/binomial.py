"""Exact bounds of a proportion (Clopper and Pearson, Biometrika 26, 1934): they hold for every n."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def lower_bound(successes: npt.ArrayLike, trials: npt.ArrayLike, error: float) -> FloatArray:
    """The proportion is below this with probability at most `error`, elementwise; 0 without successes."""
    from scipy.stats import beta

    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    # The beta distribution has no zero parameter: those places are filled before and set after.
    bound = beta.ppf(error, np.maximum(k, 0.5), n - k + 1)
    return np.asarray(np.where(k > 0, bound, 0.0), dtype=np.float64)


def upper_bound(successes: npt.ArrayLike, trials: npt.ArrayLike, error: float) -> FloatArray:
    """The proportion is above this with probability at most `error`, elementwise; 1 where all succeed."""
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    return np.asarray(1.0 - lower_bound(n - k, n, error), dtype=np.float64)


def clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """Two-sided 95 % interval. Raises `ValueError` without trials, or with more successes than trials."""
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"no proportion: {successes} of {trials}")
    return float(lower_bound(successes, trials, 0.025)), float(upper_bound(successes, trials, 0.025))
