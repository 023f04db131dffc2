"""Bins of stated confidence against the share that was right: what calibration errors are functions of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, JsonValue

from runners.context import FloatArray, IntArray, MetricContext
from runners.metrics.performance.counts import answers, distribution
from runners.statistics.bootstrap import ITEM_DRAWS, cluster_codes, resample_sums, tail
from runners.statistics.intervals import wilson

#: `equal_width`: (0, 1/bins], (1/bins, 2/bins], …; `equal_mass`: about as many items in each, equal values together.
Scheme = Literal["equal_width", "equal_mass"]
#: `confidence`: the probability of the answer, against whether it is right; `positive`: the probability of the
#: positive class, against whether the item has it (two classes only).
About = Literal["confidence", "positive"]
Bins = Annotated[int, Field(ge=2, le=100)]
#: More items or clusters are put together at random for resampling: sums of many vary as the items do.
_UNITS = 20_000
#: Replicates that differ by no more than this are equal but for rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Reliability:
    """Items in bins. `stated` and `right`, (n,): probability and 0 or 1; `places`, (n,): bin; `edges`, (bins + 1,)."""

    stated: FloatArray
    right: FloatArray
    places: IntArray
    edges: FloatArray

    @property
    def bins(self) -> int:
        """How many there are."""
        return self.edges.size - 1

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of `values`, (n,), in each bin."""
        return np.asarray(np.bincount(self.places, weights=values, minlength=self.bins), dtype=np.float64)

    @property
    def counts(self) -> FloatArray:
        """Items in each bin, (bins,)."""
        return np.asarray(np.bincount(self.places, minlength=self.bins), dtype=np.float64)


def reliability(ctx: MetricContext, *, bins: int, scheme: Scheme, about: About) -> Reliability:
    """The items of a context in bins. `positive` is for two classes; the caller checks."""
    chances = distribution(ctx)
    if about == "positive":
        stated = chances[:, ctx.task.positive_index]
        right = ctx.labels == ctx.task.positive_index
    else:
        predictions = answers(ctx)
        stated, right = chances[np.arange(ctx.n), predictions], predictions == ctx.labels
    edges = np.linspace(0.0, 1.0, bins + 1) if scheme == "equal_width" else _equal_mass(stated, bins)
    places = np.clip(np.searchsorted(edges, stated, side="left") - 1, 0, edges.size - 2)
    return Reliability(stated, right.astype(np.float64), places.astype(np.int64), edges)


def _equal_mass(stated: FloatArray, bins: int) -> FloatArray:
    """Edges with about as many items between them; fewer bins where many items have the same value."""
    ordered = np.sort(stated)
    last = np.minimum(ordered.size - 1, np.ceil(np.arange(1, bins) * ordered.size / bins).astype(np.int64) - 1)
    inner = np.unique(ordered[last])
    inner = inner[(inner > 0.0) & (inner < ordered[-1])]
    return np.asarray(np.r_[0.0, inner, 1.0], dtype=np.float64)


def diagram(found: Reliability) -> list[JsonValue]:
    """The reliability diagram: bins that have items, with the mean stated and the share that was right."""
    counts, stated, right = found.counts, found.sums(found.stated), found.sums(found.right)
    rows: list[JsonValue] = []
    for place in np.flatnonzero(counts).tolist():
        n = int(counts[place])
        low, high = wilson(float(right[place]), n)
        rows.append({
            "from": float(found.edges[place]), "to": float(found.edges[place + 1]), "n": n,
            "stated": float(stated[place] / n), "right": float(right[place] / n), "low": low, "high": high,
        })  # fmt: skip
    return rows


#: From signed gaps summed in each bin, (draws, bins), and items in each bin, (draws, bins), to (draws,).
Statistic = Callable[[FloatArray, FloatArray], FloatArray]


def expected_error(gaps: FloatArray, counts: FloatArray | IntArray) -> FloatArray:
    """Mean of |stated - right| over bins, weighted by their items."""
    return np.asarray(np.abs(gaps).sum(axis=-1) / counts.sum(axis=-1), dtype=np.float64)


@dataclass(frozen=True)
class Chance:
    """What drawing items anew says of an error. `added`: how much larger chance makes it. `alone`: what a submission
    without any error would be seen to have, in the mean. `low`, `high`: 95 % interval.
    """

    low: float | None = None
    high: float | None = None
    added: float | None = None
    alone: float | None = None

    def debiased(self, value: float) -> float | None:
        """The error without what chance added."""
        return None if self.added is None else max(0.0, value - max(0.0, self.added))


def chance_of(
    found: Reliability, value: float, ctx: MetricContext, of: Statistic, *, rng: np.random.Generator
) -> Chance:
    """Items, or whole clusters, are drawn anew; nothing can be told of fewer than two."""
    shared = cluster_codes(ctx.clusters)
    alone = shared is None
    codes = np.arange(ctx.n, dtype=np.int64) if shared is None else shared
    if int(codes.max()) >= _UNITS:
        codes = rng.permutation(int(codes.max()) + 1)[codes] % _UNITS
    size, units = found.bins, int(codes.max()) + 1
    if units < 2:
        return Chance()
    cells, gaps = codes * size + found.places, found.right - found.stated
    sums = np.bincount(cells, weights=gaps, minlength=units * size).reshape(units, size)
    counts = np.bincount(cells, minlength=units * size).reshape(units, size)
    drawn = resample_sums(np.concatenate([sums, counts], axis=1), draws=ITEM_DRAWS, rng=rng)
    again, items = drawn[:, :size], drawn[:, size:]
    if alone:
        flawless = gaps_by_chance(found.counts, found.sums(found.stated), rng)
        return chance_in(value, of(again, items), of(flawless, found.counts), None)
    mean = np.divide(found.sums(gaps), found.counts, out=np.zeros(size), where=found.counts > 0)
    return chance_in(value, of(again, items), of(again - items * mean, items), units)


def gaps_by_chance(counts: FloatArray | IntArray, stated: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Gaps of a submission without any error, summed in each bin: (draws, bins). `stated` are sums of probabilities.

    Items of a bin are right with their mean probability, apart from each other.
    """
    n = counts.astype(np.int64)
    mean = np.clip(np.divide(stated, n, out=np.zeros(n.size), where=n > 0), 0.0, 1.0)
    return np.asarray(rng.binomial(n, mean, size=(ITEM_DRAWS, n.size)) - n * mean, dtype=np.float64)


def chance_in(value: float, replicates: FloatArray, without: FloatArray, units: int | None) -> Chance:
    """What replicates of an error tell, (draws,), and those of a submission without any, drawn the same way.

    Noise makes the error larger, so replicates lie above `value` as it lies above the truth. The lower end turns them
    over, and is 0 where an error as large is to be expected of a submission without any; the upper end moves them down
    by what chance added. Both are widened to hold the value itself. `units`: of clusters, how many there are.
    """
    level = 1 - tail(units)
    above = float(np.quantile(replicates, level))
    added = float(replicates.mean()) - value
    calibrated = value <= float(np.quantile(without, level))
    low = 0.0 if calibrated else max(0.0, min(value, 2 * value - above))
    high = min(1.0, max(value, above - max(0.0, added)))
    if high - low <= _ROUNDING:  # hardly anything varies, so the interval would claim certainty
        return Chance(None, None, added, float(without.mean()))
    return Chance(low, high, added, float(without.mean()))
