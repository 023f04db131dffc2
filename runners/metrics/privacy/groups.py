"""The groups that an organiser declares by an attribute: members and others, forgotten and retained."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.groups import attribute_values
from runners.registry import MetricValue, undefined

Bools = npt.NDArray[np.bool_]


def rows_of(ctx: MetricContext, attribute: str, values: tuple[str, ...]) -> tuple[IntArray, ...] | MetricValue:
    """Rows of the items with each of these values, int64; or why one of the groups cannot be looked at.

    Items with another value or none are in no group. A group smaller than the attribute's `minimum` is too few.

    Raises:
        ScorerFault: the competition declares no such attribute.
    """
    found = attribute_values(ctx, attribute)
    if found is None:
        return undefined(f"the data split has no attribute {attribute}", state="not_applicable")
    spec, names = found
    rows = tuple(np.flatnonzero(names == value).astype(np.int64) for value in values)
    for value, index in zip(values, rows, strict=True):
        if index.size < spec.minimum:
            reason = f"{index.size} items have {attribute} = {value}; at least {spec.minimum} are needed"
            return undefined(reason, n=int(index.size), state="too_few")
    return rows


def halves(member: Bools, codes: IntArray | None, rng: np.random.Generator) -> Bools:
    """One half of the items, (n,): about half of the members and of the others; clusters stay whole."""
    if codes is not None:
        return np.asarray((rng.permutation(int(codes.max()) + 1) % 2 == 0)[codes])
    first = np.zeros(member.size, dtype=bool)
    for side in (True, False):
        index = rng.permutation(np.flatnonzero(member == side))
        first[index[: index.size // 2]] = True
    return first
