"""Percentile bootstrap, vectorised: replicates are drawn as counts, never as copies of rows.

Statistics that are functions of sums (counts, confusion tables, losses) are resampled as sums:
a replicate costs one multinomial draw. Items that share a cluster are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.statistics.intervals import Interval, student

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Replicates of a count table; cheap whatever the number of items.
TABLE_DRAWS = 4000
#: Replicates that touch every item.
ITEM_DRAWS = 2000
#: Largest table that is kept for each cluster.
_DENSE = 64
#: Numbers held at once, and random numbers drawn in all, for replicates.
_CHUNK = 4_000_000
_BUDGET = 200_000_000
#: More undefined replicates than this share, and there is no interval.
_UNDEFINED_SHARE = 0.1
#: Replicates that differ by no more than this are equal but for rounding.
_ROUNDING = 1e-12


def cluster_codes(clusters: npt.NDArray[np.object_] | None) -> IntArray | None:
    """Clusters as 0..C-1; an item without one is a cluster of its own. None where all items are independent."""
    if clusters is None:
        return None
    names: dict[object, int] = {}
    codes = np.empty(clusters.shape[0], dtype=np.int64)
    for i, name in enumerate(clusters):
        codes[i] = names.setdefault((i,) if name is None else name, len(names))
    return None if len(names) == clusters.shape[0] else codes


def groups_of(codes: IntArray, kinds: IntArray, size: int) -> IntArray:
    """How many clusters have an item of each kind 0..size-1: (size,)."""
    pairs = np.unique(codes * size + kinds)
    return np.bincount(pairs % size, minlength=size).astype(np.int64)


def percentile_interval(replicates: FloatArray, *, units: int | None = None) -> Interval:
    """2.5 % and 97.5 % of the defined replicates, or farther out where they rest on few independent `units`.

    None where too many are undefined (NaN), for fewer than two units, and where all replicates are equal: resampling
    would claim certainty. A bootstrap of m units is too narrow by sqrt((m - 1) / m) and by the normal against Student's
    t with m - 1 degrees of freedom; the levels make up for it (expanded percentile: Hesterberg, The American
    Statistician 69, 2015).
    """
    good = replicates[np.isfinite(replicates)]
    if good.size == 0 or good.size < (1 - _UNDEFINED_SHARE) * replicates.size or (units is not None and units < 2):
        return None, None
    level = tail(units)
    low, high = np.quantile(good, [level, 1 - level])
    if high - low <= _ROUNDING * max(1.0, abs(low), abs(high)):
        return None, None
    return float(low), float(high)


def tail(units: int | None) -> float:
    """The share of replicates beyond each end: 0.025, and less for few independent units (at least two)."""
    if units is None:
        return 0.025
    from scipy.special import ndtr

    return float(ndtr(-student(units - 1) * math.sqrt(units / (units - 1))))


def multinomial_tables(table: IntArray, *, draws: int, rng: np.random.Generator) -> IntArray:
    """Replicates of a count table as if its items were drawn anew: shape (draws, *table.shape)."""
    total = int(table.sum())
    if total == 0:
        raise ValueError("the count table is empty")
    flat = rng.multinomial(total, table.ravel() / total, size=draws)
    return flat.reshape(draws, *table.shape)


def cluster_tables(
    codes: IntArray, cells: IntArray, size: int, *, draws: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Replicates of the table `bincount(cells, minlength=size)` with whole clusters drawn, in parts of (·, size)."""
    clusters = int(codes.max()) + 1
    if size <= _DENSE:
        dense = np.bincount(codes * size + cells, minlength=clusters * size).reshape(clusters, size)
        parts = _resampled(dense.astype(np.float64), draws=draws, rng=rng)
    else:  # a cluster meets few of many cells: a dense table of all would not fit into memory
        from scipy.sparse import csr_matrix

        sparse = csr_matrix((np.ones(cells.size), (codes, cells)), shape=(clusters, size))
        parts = _resampled(sparse, draws=draws, rng=rng)
    for part in parts:
        yield np.rint(part).astype(np.int64)


def group_sums(codes: IntArray, values: FloatArray) -> FloatArray:
    """Sum of rows of `values` (n, k) for each code: (codes, k)."""
    out = np.zeros((int(codes.max()) + 1, values.shape[1]))
    np.add.at(out, codes, values)
    return out


def resample_sums(contributions: FloatArray, *, draws: int, rng: np.random.Generator) -> FloatArray:
    """Sums of `contributions` (n, k) over n rows drawn with replacement: (draws, k).

    Rows are independent units: items, or clusters already summed. Where n is very large the number
    of draws falls, so that the cost stays bounded; it is at least 200.
    """
    return np.concatenate(list(_resampled(contributions, draws=draws, rng=rng)))


def _resampled(contributions: Any, *, draws: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """`resample_sums` in parts; `contributions` may be sparse."""
    n, k = contributions.shape
    draws = max(200, min(draws, _BUDGET // max(n, 1)))
    chunk = max(1, _CHUNK // max(n, k, 1))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        picks = rng.integers(0, n, size=(size, n))
        picks += n * np.arange(size)[:, None]
        counts = np.bincount(picks.ravel(), minlength=size * n).reshape(size, n)
        yield counts @ contributions


def mean_interval(values: FloatArray, codes: IntArray | None, *, rng: np.random.Generator) -> Interval:
    """Percentile interval of a mean; clusters are drawn whole.

    None for fewer than two units, and where all values are equal: resampling would claim certainty.
    """
    if values.size and float(values.min()) == float(values.max()):
        return None, None
    rows = np.column_stack([values, np.ones_like(values)])
    units = rows if codes is None else group_sums(codes, rows)
    if units.shape[0] < 2:
        return None, None
    sums = resample_sums(units, draws=ITEM_DRAWS, rng=rng)
    return percentile_interval(sums[:, 0] / sums[:, 1], units=units.shape[0])


def table_interval(
    statistic: Callable[[IntArray], FloatArray],
    cells: IntArray,
    shape: tuple[int, ...],
    codes: IntArray | None,
    *,
    rng: np.random.Generator,
    units: int | None = None,
) -> Interval:
    """Percentile interval of a function of the count table of `cells` (flat indices into `shape`).

    `statistic` takes tables (draws, *shape) and returns (draws,), NaN where undefined. `units`: the clusters that the
    statistic rests on, where they are fewer than all.
    """
    size = int(np.prod(shape))
    if codes is not None:
        if int(codes.max()) < 1:
            return None, None
        units = int(codes.max()) + 1 if units is None else units
        parts = cluster_tables(codes, cells, size, draws=ITEM_DRAWS, rng=rng)
    else:
        parts = _table_parts(np.bincount(cells, minlength=size), rng=rng)
    found = np.concatenate([statistic(part.reshape(-1, *shape)) for part in parts])
    return percentile_interval(found, units=units)


def _table_parts(table: IntArray, *, rng: np.random.Generator) -> Iterator[IntArray]:
    chunk = max(1, _CHUNK // max(table.size, 1))
    for start in range(0, TABLE_DRAWS, chunk):
        yield multinomial_tables(table, draws=min(chunk, TABLE_DRAWS - start), rng=rng)
