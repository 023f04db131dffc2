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

from runners.context import IntArray, Names

#: Items read at once: their cells stay in the processor's cache.
_CHUNK = 1 << 16


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


class Coder(dict[object, int]):
    """Values of an attribute as small integers in the order they are met; 0 is an unknown value.

    A dictionary that learns: looking a value up is all that is done for each item.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, int] = {}

    def __missing__(self, value: object) -> int:
        code = 0 if value is None or value == "" else self.names.setdefault(str(value), len(self.names) + 1)
        self[value] = code
        return code

    def codes(self, values: Names) -> IntArray:
        """Codes of values, (n,), int64."""
        return np.fromiter(map(self.__getitem__, values.tolist()), dtype=np.int64, count=values.shape[0])


def known(values: Names) -> npt.NDArray[np.bool_]:
    """Which items have a value; an empty string is an unknown one."""
    return np.array([value is not None and value != "" for value in values], dtype=bool)


def chunks(n: int) -> Iterator[slice]:
    """Slices of n items that are read at once."""
    return (slice(start, min(n, start + _CHUNK)) for start in range(0, n, _CHUNK))


def encode(values: Names) -> tuple[tuple[str, ...], IntArray]:
    """The sorted values of an attribute, and for each item the index of its own, -1 where unknown: (n,), int64."""
    coder = Coder()
    codes = coder.codes(values)
    groups = tuple(sorted(coder.names))
    place = np.full(len(groups) + 1, -1, dtype=np.int64)
    for index, name in enumerate(groups):
        place[coder.names[name]] = index
    return groups, place[codes]


def count(values: Names, y: npt.NDArray[Any], yhat: npt.NDArray[Any], *, index: int | None = None) -> CountTable:
    """Count items by attribute value, true outcome and predicted outcome. All arrays have shape (n,).

    `y` and `yhat` say whether an item has the outcome; with `index` they are classes, and that class is the outcome.
    """
    coder = Coder()
    cells = _counted(lambda part: coder.codes(values[part]), y, yhat, index)
    groups = tuple(sorted(coder.names))
    rows = [coder.names[name] for name in groups]
    table = np.zeros((len(coder.names) + 1, 2, 2), dtype=np.int64)
    table.reshape(-1)[: cells.size] = cells
    return CountTable(groups, table[rows], int(table[0].sum()))


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
    # Cells of few groups fit into a byte: an eighth of the traffic.
    narrow = np.dtype(np.uint8) if 4 * size <= 256 else np.dtype(np.int64)

    def coded(part: slice) -> npt.NDArray[Any]:
        chunk = codes[part]
        if chunk.size and not (int(chunk.min()) >= 0 and int(chunk.max()) < size):
            raise ValueError(f"the codes of an attribute of {size} groups are 0..{size - 1}")
        return chunk.astype(narrow, copy=False)

    cells = np.zeros(4 * size, dtype=np.int64)
    found = _counted(coded, y, yhat, index)
    cells[: found.size] = found
    order = sorted(range(size), key=lambda i: groups[i])
    return CountTable(tuple(groups[i] for i in order), cells.reshape(size, 2, 2)[order])


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
