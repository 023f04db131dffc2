"""The one integer count table that every group metric is a function of.

`n[group, y, yhat]` in int64: exact, mergeable over shards, and enough for every interval. Items are
read in chunks, so that counting needs next to no memory of its own however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext, Names

#: Items read at once: their cells stay in the processor's cache.
_CHUNK = 1 << 16


@dataclass(frozen=True)
class CountTable:
    """Counts `[group, y, yhat]`, (groups, 2, 2), int64; index 1 of y and yhat is the outcome in question.

    `groups` are the values of the attribute that occur, sorted. `unknown` counts items whose value is not known;
    `everyone` are the counts `[y, yhat]` of all items, those too.
    """

    groups: tuple[str, ...]
    counts: IntArray
    unknown: int
    everyone: IntArray

    def merge(self, other: CountTable) -> CountTable:
        """The table of both sets of items together."""
        groups = tuple(sorted({*self.groups, *other.groups}))
        counts = np.zeros((len(groups), 2, 2), dtype=np.int64)
        for table in (self, other):
            for name, cells in zip(table.groups, table.counts, strict=True):
                counts[groups.index(name)] += cells
        return CountTable(groups, counts, self.unknown + other.unknown, self.everyone + other.everyone)

    def pooled(self, names: tuple[str, ...]) -> IntArray:
        """Counts `[y, yhat]`, (2, 2), of several groups together; zeros for groups without items."""
        rows = [i for i, name in enumerate(self.groups) if name in names]
        return np.asarray(self.counts[rows].sum(axis=0), dtype=np.int64)


def chunks(n: int) -> Iterator[slice]:
    """Slices of n items that are read at once."""
    return (slice(start, min(n, start + _CHUNK)) for start in range(0, n, _CHUNK))


def encode(values: Attribute | Names) -> tuple[tuple[str, ...], IntArray]:
    """The sorted values that occur, and for each item the index of its own, -1 where unknown: (n,), int64."""
    attribute = Attribute.of(values)
    met = np.bincount(attribute.codes + np.int64(1), minlength=len(attribute.names) + 1)[1:] > 0
    place = np.append(np.where(met, np.cumsum(met) - 1, -1), -1)
    return tuple(name for name, there in zip(attribute.names, met, strict=True) if there), place[attribute.codes]


def count(
    values: Attribute | Names, y: npt.NDArray[Any], yhat: npt.NDArray[Any], *, index: int | None = None
) -> CountTable:
    """Count items by attribute value, true outcome and predicted outcome. All arrays have shape (n,).

    `y` and `yhat` say whether an item has the outcome; with `index` they are classes, and that class is the outcome.
    """
    attribute = Attribute.of(values)
    kind = _cell_type(len(attribute.names) + 1)

    def shifted(part: slice) -> npt.NDArray[Any]:
        # The unknown, -1, come first: all cells are counted in one go. A byte's -1 wraps to 255 and on to 0.
        codes = attribute.codes[part].astype(kind)
        codes += 1
        return codes

    table = np.zeros((len(attribute.names) + 1, 2, 2), dtype=np.int64)
    cells = _counted(shifted, y, yhat, index)
    table.reshape(-1)[: cells.size] = cells
    met = 1 + np.flatnonzero(table[1:].any(axis=(1, 2)))
    groups = tuple(attribute.names[i - 1] for i in met)
    return CountTable(groups, table[met], int(table[0].sum()), table.sum(axis=0))


def group_table(ctx: MetricContext, attribute: str, outcome: int) -> CountTable:
    """The table of an attribute and the class in question, counted once for all metrics of a run.

    The split must have the attribute, and the submission predictions.
    """
    values, predictions = ctx.attributes[attribute], ctx.predictions
    if predictions is None:
        raise RuntimeError("a metric that reads predictions must declare the need `predictions`")
    return ctx.once(
        ("fairness.table", attribute, outcome), lambda: count(values, ctx.labels, predictions, index=outcome)
    )


def outcome_table(ctx: MetricContext, outcome: int) -> IntArray:
    """Counts `[y, yhat]` of all items, (2, 2), int64: the sum of any attribute's table, where there is one."""
    for attribute in ctx.attributes:
        return group_table(ctx, attribute, outcome).everyone
    predictions = ctx.predictions
    if predictions is None:
        raise RuntimeError("a metric that reads predictions must declare the need `predictions`")
    return ctx.once(("fairness.outcomes", outcome), lambda: count_outcomes(ctx.labels, predictions, index=outcome))


def count_outcomes(y: npt.NDArray[Any], yhat: npt.NDArray[Any], *, index: int | None = None) -> IntArray:
    """The table of all items whatever their group: `[y, yhat]`, (2, 2), int64."""
    cells = _counted(lambda part: np.zeros(y[part].shape[0], dtype=np.uint8), y, yhat, index)
    table = np.zeros(4, dtype=np.int64)
    table[: cells.size] = cells
    return table.reshape(2, 2)


def count_codes(
    codes: npt.NDArray[np.integer[Any]],
    y: npt.NDArray[Any],
    yhat: npt.NDArray[Any],
    groups: Sequence[str],
    *,
    index: int | None = None,
) -> CountTable:
    """The same for an attribute that is a column of small integers, 0..len(groups)-1, of any integer type.

    Raises:
        ValueError: a code names no group.
    """
    size = len(groups)
    kind = _cell_type(size)

    def coded(part: slice) -> npt.NDArray[Any]:
        chunk = codes[part]
        if chunk.size and not (int(chunk.min()) >= 0 and int(chunk.max()) < size):
            raise ValueError(f"the codes of an attribute of {size} groups are 0..{size - 1}")
        return chunk.astype(kind, copy=False)

    cells = np.zeros(4 * size, dtype=np.int64)
    found = _counted(coded, y, yhat, index)
    cells[: found.size] = found
    order = sorted(range(size), key=lambda i: groups[i])
    table = cells.reshape(size, 2, 2)
    return CountTable(tuple(groups[i] for i in order), table[order], 0, table.sum(axis=0))


def _cell_type(groups: int) -> type[np.integer[Any]]:
    """Cells of few groups fit into a byte: an eighth of the traffic."""
    return np.uint8 if 4 * groups <= 256 else np.int64


def _counted(
    coded: Callable[[slice], npt.NDArray[Any]], y: npt.NDArray[Any], yhat: npt.NDArray[Any], index: int | None
) -> IntArray:
    """Counts of the cells `code * 4 + y * 2 + yhat`, as long as the largest that is met asks for."""
    total = np.zeros(0, dtype=np.int64)
    for part in chunks(y.shape[0]):
        truth, answer = y[part], yhat[part]
        if index is not None:
            truth, answer = truth == index, answer == index
        cells = coded(part) << 2
        cells += truth.astype(bool, copy=False).view(np.uint8) << 1
        cells += answer.astype(bool, copy=False).view(np.uint8)
        found = np.bincount(cells, minlength=total.size)
        found[: total.size] += total
        total = found
    return total.astype(np.int64, copy=False)


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
