"""Groups of several attributes at once: the same table, with one row for each combination that occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.fairness.table import chunks
from runners.metrics.performance.counts import answers
from runners.registry import MetricValue, undefined

#: Values of one attribute that a packed combination has room for.
_ROOM = 1 << 15
#: Attributes whose packed codes fit into 63 bits.
MOST_ATTRIBUTES = 4


@dataclass(frozen=True)
class Joint:
    """`counts` `[cell, y, yhat]` of each combination `cells[i]` of values, sorted; `minimum` is the largest declared.

    An item with an unknown value of any of the attributes is in no cell and counted in `unknown`.
    """

    attributes: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    counts: IntArray
    unknown: int
    minimum: int

    @property
    def names(self) -> list[str]:
        return [" & ".join(cell) for cell in self.cells]


class _Combinations:
    """Combinations of codes as small integers in the order they are met; 0 where any value is unknown."""

    def __init__(self, columns: Sequence[Attribute]) -> None:
        if any(len(column.names) >= _ROOM for column in columns):
            raise ValueError(f"an attribute has more than {_ROOM} values")
        self.columns = columns
        self.known: dict[int, int] = {}

    def codes(self, part: slice) -> IntArray:
        """Of these items, (n,), int64."""
        chosen = [column.codes[part] for column in self.columns]
        packed = np.zeros(chosen[0].shape[0], dtype=np.int64)
        unknown = np.zeros(chosen[0].shape[0], dtype=bool)
        for column, codes in zip(self.columns, chosen, strict=True):
            packed = packed * len(column.names) + codes
            unknown |= codes < 0
        packed[unknown] = -1
        return self._numbered(packed)

    def _numbered(self, packed: IntArray) -> IntArray:
        met, inverse = self._distinct(packed)
        ids = [0 if code < 0 else self.known.setdefault(code, len(self.known) + 1) for code in met.tolist()]
        return np.array(ids, dtype=np.int64)[inverse]

    def _distinct(self, packed: IntArray) -> tuple[IntArray, IntArray]:
        """The packed combinations that occur, and for each item the place of its own among them."""
        if packed.size and int(packed.max()) < packed.size:  # few combinations: counting is faster than sorting
            there = np.bincount(packed + 1) > 0
            return np.flatnonzero(there) - 1, (np.cumsum(there) - 1)[packed + 1]
        met, inverse = np.unique(packed, return_inverse=True)
        return met, inverse

    def names(self) -> list[tuple[str, ...]]:
        """The values of each combination, in order of its integer; that of the unknown is left out."""
        out = []
        for packed in self.known:
            names, rest = [], packed
            for column in reversed(self.columns):
                rest, code = divmod(rest, len(column.names))
                names.append(column.names[code])
            out.append(tuple(reversed(names)))
        return out


def _columns(ctx: MetricContext, attributes: Sequence[str]) -> tuple[list[Attribute], int] | MetricValue:
    columns, minimum = [], 1
    for attribute in attributes:
        found = attribute_values(ctx, attribute)
        if found is None:
            return undefined(f"the data split has no attribute {attribute}", state="not_applicable")
        columns.append(found[1])
        minimum = max(minimum, found[0].minimum)
    return columns, minimum


def joint_table(ctx: MetricContext, attributes: Sequence[str], outcome: int) -> Joint | MetricValue:
    """Count an outcome in every combination that occurs, in chunks; a value that says why where it cannot be done."""
    found = _columns(ctx, attributes)
    if isinstance(found, MetricValue):
        return found
    columns, minimum = found
    return ctx.once(
        ("fairness.joint", *attributes, outcome), lambda: _counted(ctx, attributes, columns, minimum, outcome)
    )


def _counted(
    ctx: MetricContext, attributes: Sequence[str], columns: Sequence[Attribute], minimum: int, outcome: int
) -> Joint:
    predictions, combinations = answers(ctx), _Combinations(columns)
    total = np.zeros(0, dtype=np.int64)
    for part in chunks(ctx.n):
        cells = combinations.codes(part) * 4
        cells += (ctx.labels[part] == outcome) * 2 + (predictions[part] == outcome)
        counted = np.bincount(cells, minlength=total.size)
        counted[: total.size] += total
        total = counted
    names = combinations.names()
    table = np.zeros((len(names) + 1, 2, 2), dtype=np.int64)
    table.reshape(-1)[: total.size] = total
    order = sorted(range(len(names)), key=lambda i: names[i])
    rows = [1 + i for i in order]
    return Joint(tuple(attributes), tuple(names[i] for i in order), table[rows], int(table[0].sum()), minimum)


def item_cells(ctx: MetricContext, joint: Joint) -> IntArray:
    """The index of each item's cell, -1 where it is in none: (n,), int64."""
    combinations = _Combinations([ctx.attributes[name] for name in joint.attributes])
    codes = combinations.codes(slice(None))
    place = {cell: i for i, cell in enumerate(joint.cells)}
    return np.array([-1, *(place[name] for name in combinations.names())], dtype=np.int64)[codes]
