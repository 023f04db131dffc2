"""Statistics of many groups at once: the gap of extremes freed of its bias, and tests corrected for their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.context import IntArray

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
#: True gaps that are tried.
_STEPS = 60


def holm(p_values: FloatArray) -> FloatArray:
    """Adjusted p-values that keep the chance of any false alarm at the level (Holm 1979), in the order given.

    The k-th smallest of m is multiplied by m - k + 1, and none falls below a smaller one's.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(p_values.size, 0, -1)
    out = np.empty(p_values.size)
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return out


def against_the_rest(rates: FloatArray, sizes: FloatArray) -> FloatArray:
    """Two-sided p-value of each group's rate against that of all other groups together (score test)."""
    from scipy.special import ndtr

    hits, total = rates * sizes, sizes.sum()
    rest, pooled = total - sizes, float((rates * sizes).sum() / total)
    spread = pooled * (1 - pooled) * (1 / sizes + np.divide(1.0, rest, out=np.zeros_like(rest), where=rest > 0))
    others = np.divide(hits.sum() - hits, rest, out=rates.copy(), where=rest > 0)
    z = np.divide(np.abs(rates - others), np.sqrt(spread), out=np.zeros_like(rates), where=spread > 0)
    return np.asarray(2 * ndtr(-z), dtype=np.float64)


@dataclass(frozen=True)
class Gap:
    """`raw` is the plain maximum minus the minimum; `value` is freed of the bias that noise gives it."""

    raw: float
    value: float
    low: float
    high: float


def gap(rates: FloatArray, sizes: FloatArray, *, draws: int, rng: np.random.Generator) -> Gap:
    """Largest minus smallest of at least two rates, freed of its bias, with a 95 % interval.

    The extremes of noisy rates lie farther apart than those of the true ones, the more so the more groups
    there are. The rates are drawn together or apart by a factor and a parametric bootstrap made about each:
    the value is the gap whose replicates have on average the gap that was observed, or 0 where even no gap
    has more; the interval holds the gaps to which the observed one is not extreme.
    """
    smooth = (rates * sizes + 1) / (sizes + 2)  # a rate of 0 or 1 is not free of noise
    noise = rng.standard_normal((draws, rates.size)) * np.sqrt(smooth * (1 - smooth) / sizes)
    raw, mean = float(np.ptp(rates)), float((rates * sizes).sum() / sizes.sum())
    # In steps of true gaps; the pattern is the observed one, or any where nothing was observed.
    pattern = (rates - mean) / raw if raw > 0 else np.linspace(-0.5, 0.5, rates.size)
    grid = np.linspace(0.0, min(1.0, raw + float(np.quantile(np.ptp(noise, axis=1), 0.999))), _STEPS)
    found = np.stack([np.ptp(pattern * true + noise, axis=1) for true in grid])
    low, high = np.quantile(found, [0.025, 0.975], axis=1)
    # Rates move in steps of whole items: an observed gap stands for all that are half a step from it.
    step = 0.5 / float(sizes.max())
    # A larger true gap has larger replicates: each curve crosses the observed gap once.
    value = _crossing(grid, found.mean(axis=1), raw)
    ends = _crossing(grid, high, raw - step), _crossing(grid, low, raw + step)
    return Gap(raw, value, min(value, ends[0]), max(value, ends[1]))


def _crossing(grid: FloatArray, curve: FloatArray, level: float) -> float:
    """Where a rising curve reaches a level; the end of the grid where it does not."""
    return float(np.interp(level, np.maximum.accumulate(curve), grid))


def effective_sizes(cells: IntArray, hits: Bools, codes: IntArray, groups: int) -> FloatArray:
    """How many independent items each group's rate is worth where items share clusters: (groups,).

    `cells` are the items' groups, `hits` whether each counts in the rate, `codes` their clusters. The
    variance is that of a ratio of sums over clusters; where no item varies, clusters are counted.
    """
    size = int(codes.max(initial=-1)) + 1
    pair, where = np.unique(cells * size + codes, return_inverse=True)
    n = np.bincount(where).astype(np.float64)
    k = np.bincount(where, weights=hits)
    group = pair // size
    total = np.bincount(group, weights=n, minlength=groups)
    rate = np.bincount(group, weights=k, minlength=groups) / np.maximum(total, 1)
    variance = np.bincount(group, weights=(k - rate[group] * n) ** 2, minlength=groups) / np.maximum(total, 1) ** 2
    clusters = np.bincount(group, minlength=groups).astype(np.float64)
    worth = np.divide(rate * (1 - rate), variance, out=clusters.copy(), where=variance > 0)
    return np.asarray(np.clip(worth, 1.0, np.maximum(total, 1.0)), dtype=np.float64)
