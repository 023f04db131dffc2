"""The one integer count table that every group metric is a function of.

`n[group, y, yhat]` in int64: exact, mergeable over shards, and enough for every interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.context import IntArray, Names


@dataclass(frozen=True)
class CountTable:
    """Counts `[group, y, yhat]`, (groups, 2, 2), int64; index 1 of y and yhat is the outcome in question.

    `groups` are the values of the attribute, sorted. `unknown` counts items whose value is not known.
    """

    groups: tuple[str, ...]
    counts: IntArray
    unknown: int = 0

    def merge(self, other: CountTable) -> CountTable:
        """The table of both sets of items together."""
        groups = tuple(sorted({*self.groups, *other.groups}))
        counts = np.zeros((len(groups), 2, 2), dtype=np.int64)
        for table in (self, other):
            for name, cells in zip(table.groups, table.counts, strict=True):
                counts[groups.index(name)] += cells
        return CountTable(groups, counts, self.unknown + other.unknown)

    def pooled(self, names: tuple[str, ...]) -> IntArray:
        """Counts `[y, yhat]`, (2, 2), of several groups together; zeros for groups without items."""
        rows = [i for i, name in enumerate(self.groups) if name in names]
        return np.asarray(self.counts[rows].sum(axis=0), dtype=np.int64)


def known(values: Names) -> npt.NDArray[np.bool_]:
    """Which items have a value; an empty string is an unknown one."""
    return np.array([value is not None and value != "" for value in values], dtype=bool)


def count(values: Names, y: npt.NDArray[np.bool_], yhat: npt.NDArray[np.bool_]) -> CountTable:
    """Count items by attribute value, true outcome and predicted outcome. All arrays have shape (n,)."""
    mask = known(values)
    groups, codes = np.unique(values[mask].astype(str), return_inverse=True)
    cells = codes * 4 + y[mask].astype(np.int64) * 2 + yhat[mask]
    counts = np.bincount(cells, minlength=4 * groups.size).reshape(groups.size, 2, 2)
    return CountTable(tuple(map(str, groups)), counts.astype(np.int64), int((~mask).sum()))


@dataclass(frozen=True)
class Rates:
    """What a group's (2, 2) counts say; NaN where there is nothing to divide by.

    Arrays keep leading axes, so that bootstrap replicates are computed at once.
    """

    n: npt.NDArray[np.int64]
    selection: npt.NDArray[np.float64]
    tpr: npt.NDArray[np.float64]
    fpr: npt.NDArray[np.float64]
    base: npt.NDArray[np.float64]


def _share(part: IntArray, whole: IntArray) -> npt.NDArray[np.float64]:
    shares = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return np.asarray(shares, dtype=np.float64)


def rates(counts: IntArray) -> Rates:
    """Rates of counts `[..., y, yhat]`."""
    negative, positive = counts[..., 0, :].sum(axis=-1), counts[..., 1, :].sum(axis=-1)
    n = negative + positive
    return Rates(
        n=n,
        selection=_share(counts[..., :, 1].sum(axis=-1), n),
        tpr=_share(counts[..., 1, 1], positive),
        fpr=_share(counts[..., 0, 1], negative),
        base=_share(positive, n),
    )
