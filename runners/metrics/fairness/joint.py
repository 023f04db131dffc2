"""Groups of several attributes at once: the same table, with one row for each combination that occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runners.context import IntArray, MetricContext, Names
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.fairness.table import Coder, chunks
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

    def __init__(self, attributes: int) -> None:
        self.coders = [Coder() for _ in range(attributes)]
        self.known: dict[int, int] = {}

    def codes(self, columns: Sequence[Names]) -> IntArray:
        packed = np.zeros(columns[0].shape[0], dtype=np.int64)
        unknown = np.zeros(columns[0].shape[0], dtype=bool)
        for coder, values in zip(self.coders, columns, strict=True):
            codes = coder.codes(values)
            if len(coder.names) >= _ROOM:
                raise ValueError(f"an attribute has more than {_ROOM} values")
            packed = packed * _ROOM + codes
            unknown |= codes == 0
        packed[unknown] = -1
        met, inverse = np.unique(packed, return_inverse=True)
        ids = [0 if code < 0 else self.known.setdefault(code, len(self.known) + 1) for code in met.tolist()]
        return np.array(ids, dtype=np.int64)[inverse]

    def names(self) -> list[tuple[str, ...]]:
        """The values of each combination, in order of its integer; that of the unknown is left out."""
        values = [{code: name for name, code in coder.names.items()} for coder in self.coders]
        out = []
        for packed in self.known:
            codes, rest = [], packed
            for _ in values:
                codes.append(rest % _ROOM)
                rest //= _ROOM
            out.append(tuple(table[code] for table, code in zip(values, reversed(codes), strict=True)))
        return out


def _columns(ctx: MetricContext, attributes: Sequence[str]) -> tuple[list[Names], int] | MetricValue:
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
    predictions, combinations = answers(ctx), _Combinations(len(columns))
    total = np.zeros(0, dtype=np.int64)
    for part in chunks(ctx.n):
        cells = combinations.codes([values[part] for values in columns]) * 4
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
    combinations = _Combinations(len(joint.attributes))
    codes = combinations.codes([ctx.attributes[name] for name in joint.attributes])
    place = {cell: i for i, cell in enumerate(joint.cells)}
    return np.array([-1, *(place[name] for name in combinations.names())], dtype=np.int64)[codes]
