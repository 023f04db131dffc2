"""Privileged against unprivileged: from a context to the table, and what it tells of each side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.fairness.shares import SHARES
from runners.metrics.fairness.table import CountTable, Rates, group_table, rates
from runners.metrics.performance.counts import answers
from runners.spec.models import AttributeSpec
from runners.statistics.bootstrap import cluster_codes

FloatArray = npt.NDArray[np.float64]
Quartet = Literal["spd", "di", "eod", "aod"]

#: From the rates of the unprivileged and the privileged; NaN where undefined. Conventions as in AIF360.
FORMULAE: dict[Quartet, Callable[[Rates, Rates], FloatArray]] = {
    "spd": lambda u, p: u.selection - p.selection,
    "di": lambda u, p: np.divide(
        u.selection, p.selection, out=np.full_like(u.selection, np.nan), where=p.selection > 0
    ),
    "eod": lambda u, p: u.tpr - p.tpr,
    "aod": lambda u, p: 0.5 * ((u.fpr - p.fpr) + (u.tpr - p.tpr)),
}


@dataclass(frozen=True)
class Comparison:
    """Two pooled groups. `counts` are `[side, y, yhat]`; side 0 is unprivileged.

    `outcome` is the class in question. Only where items share clusters, `cells` are the flat indices
    of the compared items into `counts`, and `codes` their clusters.
    """

    attribute: str
    spec: AttributeSpec
    table: CountTable
    counts: IntArray
    outcome: int
    cells: IntArray | None = None
    codes: IntArray | None = None


def attribute_values(ctx: MetricContext, attribute: str) -> tuple[AttributeSpec, Attribute] | None:
    """What is declared and known of an attribute; None where the split has no such column.

    Raises:
        ScorerFault: the competition declares no such attribute.
    """
    spec = ctx.attribute_specs.get(attribute)
    if spec is None:
        close = get_close_matches(attribute, ctx.attribute_specs, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Declared: {', '.join(ctx.attribute_specs) or 'none'}."
        raise ScorerFault(f"The competition declares no attribute {attribute!r}.", hint=hint)
    values = ctx.attributes.get(attribute)
    return None if values is None else (spec, values)


def sides(spec: AttributeSpec, groups: Iterable[str]) -> npt.NDArray[np.int8]:
    """For each group 0 (unprivileged), 1 (privileged) or -1 (not compared): (groups,), int8."""
    others = spec.unprivileged
    return np.array(
        [1 if g == spec.privileged else 0 if not others or g in others else -1 for g in groups], dtype=np.int8
    )


def item_sides(spec: AttributeSpec, values: Attribute) -> npt.NDArray[np.int8]:
    """The same for each item, (n,), int8; -1 where the value is unknown too."""
    return np.append(sides(spec, values.names), np.int8(-1))[values.codes]  # -1 picks the -1 at the end


def compare(ctx: MetricContext, attribute: str, outcome: int | None = None) -> Comparison | None:
    """Count an outcome for privileged and unprivileged items; None without such a column.

    `outcome` is the index of the class in question: the favourable one unless told otherwise.
    """
    found = attribute_values(ctx, attribute)
    if found is None:
        return None
    spec, values = found
    index = outcome if outcome is not None else ctx.task.favourable_index
    if index is None:
        raise RuntimeError("a metric about the favourable outcome must declare the need `favourable`")
    predictions = answers(ctx)
    table = group_table(ctx, attribute, index)
    place = sides(spec, table.groups)
    counts = np.stack([table.counts[place == side].sum(axis=0) for side in (0, 1)]).astype(np.int64)
    if ctx.clusters is None:
        return Comparison(attribute, spec, table, counts, index)
    side = item_sides(spec, values)
    compared = side >= 0
    cells = (side * 4 + (ctx.labels == index) * 2 + (predictions == index))[compared]
    return Comparison(
        attribute, spec, table, counts, index, cells.astype(np.int64), cluster_codes(ctx.clusters[compared])
    )


def number(value: FloatArray | float) -> float | None:
    """A number, or None for NaN."""
    return float(value) if np.isfinite(value) else None


def rates_json(counts: npt.NDArray[Any]) -> dict[str, JsonValue]:
    """n and rates of one group; null where there is nothing to divide by."""
    r = rates(counts)
    return {
        "n": int(r.n), "selection_rate": number(r.selection), "tpr": number(r.tpr), "fpr": number(r.fpr),
        "base_rate": number(r.base), "ppv": number(SHARES["positive_predictive_value"].of(counts)),
        "accuracy": number(SHARES["accuracy"].of(counts)), "balanced_accuracy": number((r.tpr + 1 - r.fpr) / 2),
    }  # fmt: skip


def comparison_details(ctx: MetricContext, c: Comparison) -> dict[str, JsonValue]:
    """Rates of both sides and of each value of the attribute, and the counts they come from."""
    name = "favourable" if c.outcome == ctx.task.favourable_index else "positive"
    return {
        name: ctx.task.classes[c.outcome],
        "privileged": rates_json(c.counts[1]),
        "unprivileged": rates_json(c.counts[0]),
        "groups": [{"group": g, **rates_json(cells)} for g, cells in zip(c.table.groups, c.table.counts, strict=True)],
        "unknown": c.table.unknown,
        "counts": c.counts.tolist(),
        "clusters": None if c.codes is None else int(c.codes.max(initial=-1)) + 1,
    }
