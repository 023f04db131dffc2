"""Privileged against unprivileged: from a context to the table, the four differences and their intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import IntArray, MetricContext, Names
from runners.errors import ScorerFault
from runners.metrics.fairness.table import CountTable, Rates, count, rates
from runners.metrics.performance.counts import answers
from runners.registry import MetricValue, undefined
from runners.spec.models import AttributeSpec
from runners.statistics.bootstrap import cluster_codes, groups_of, table_interval
from runners.statistics.intervals import Interval

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
    """Two pooled groups. `cells` are flat indices into `[side, y, yhat]`; side 0 is unprivileged."""

    attribute: str
    spec: AttributeSpec
    table: CountTable
    counts: IntArray
    cells: IntArray
    codes: IntArray | None


def attribute_values(ctx: MetricContext, attribute: str) -> tuple[AttributeSpec, Names] | None:
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


def compare(ctx: MetricContext, attribute: str) -> Comparison | None:
    """Count the favourable outcome for privileged and unprivileged items; None without such a column."""
    found = attribute_values(ctx, attribute)
    if found is None:
        return None
    spec, values = found
    favourable = ctx.task.favourable_index
    y, yhat = ctx.labels == favourable, answers(ctx) == favourable
    table = count(values, y, yhat)
    unprivileged = spec.unprivileged or tuple(name for name in table.groups if name != spec.privileged)
    counts = np.stack([table.pooled(unprivileged), table.pooled((spec.privileged,))])
    is_privileged = np.array([value == spec.privileged for value in values], dtype=bool)
    compared = is_privileged | np.array([value in unprivileged for value in values], dtype=bool)
    cells = is_privileged * 4 + y * 2 + yhat * 1
    clusters = None if ctx.clusters is None else ctx.clusters[compared]
    return Comparison(attribute, spec, table, counts, cells[compared].astype(np.int64), cluster_codes(clusters))


def _number(value: FloatArray) -> float | None:
    return float(value) if np.isfinite(value) else None


def rates_json(counts: IntArray) -> dict[str, JsonValue]:
    """n and rates of one group; null where there is nothing to divide by."""
    r = rates(counts)
    return {
        "n": int(r.n), "selection_rate": _number(r.selection), "tpr": _number(r.tpr), "fpr": _number(r.fpr),
        "base_rate": _number(r.base),
    }  # fmt: skip


def comparison_details(ctx: MetricContext, c: Comparison) -> dict[str, JsonValue]:
    """Rates of both sides and of each value of the attribute, and the counts they come from."""
    index = ctx.task.favourable_index
    return {
        "favourable": None if index is None else ctx.task.classes[index],
        "privileged": rates_json(c.counts[1]),
        "unprivileged": rates_json(c.counts[0]),
        "groups": [{"group": g, **rates_json(cells)} for g, cells in zip(c.table.groups, c.table.counts, strict=True)],
        "unknown": c.table.unknown,
        "counts": c.counts.tolist(),
        "clusters": None if c.codes is None else int(c.codes.max(initial=-1)) + 1,
    }


def _why_undefined(metric: Quartet, c: Comparison) -> str:
    unprivileged, privileged = rates(c.counts[0]), rates(c.counts[1])
    sides = (("unprivileged", unprivileged), ("privileged", privileged))
    for name, side in sides:
        if metric in ("eod", "aod") and np.isnan(side.tpr):
            return f"the {name} group has no item whose true outcome is the favourable one, so it has no TPR"
        if metric == "aod" and np.isnan(side.fpr):
            return f"every item of the {name} group has the favourable true outcome, so it has no FPR"
    return "no privileged item is given the favourable outcome, so the ratio divides by zero"


def evaluate(
    ctx: MetricContext,
    attribute: str,
    metric: Quartet,
    *,
    exact: Callable[[Comparison], float | None] | None,
    when_flat: Callable[[IntArray], Interval],
) -> dict[str, MetricValue]:
    """One of the four for one attribute, as `{"[attribute]": value}`.

    `exact` computes the value by another library; `when_flat` gives the interval where all rates
    are 0 or 1, for then a bootstrap has nothing to vary.
    """
    key = f"[{attribute}]"
    c = compare(ctx, attribute)
    if c is None:
        return {key: undefined("the data split has no such attribute", state="not_applicable")}
    n = int(c.counts.sum())
    details = comparison_details(ctx, c)
    sizes = {"unprivileged": int(c.counts[0].sum()), "privileged": int(c.counts[1].sum())}
    small = [f"{name} has {size}" for name, size in sizes.items() if size < c.spec.minimum]
    if small:
        reason = f"{' and '.join(small)} items of the {c.spec.minimum} that {attribute} asks for"
        return {key: MetricValue(None, n=n, state="too_few", reason=reason, details=details)}
    formula = FORMULAE[metric]
    value = _number(formula(rates(c.counts[0]), rates(c.counts[1])))
    if value is None:
        return {key: MetricValue(None, n=n, state="undefined", reason=_why_undefined(metric, c), details=details)}
    if exact is not None:
        value = exact(c)
    if _flat(c.counts, metric):
        low, high = when_flat(c.counts if c.codes is None else _in_clusters(c, c.codes, metric))
    else:
        low, high = table_interval(
            lambda t: formula(rates(t[:, 0]), rates(t[:, 1])), c.cells, (2, 2, 2), c.codes,
            rng=ctx.rng(f"fairness.{metric}.{attribute}"),
        )  # fmt: skip
    return {key: MetricValue(value, low=low, high=high, n=n, details=details)}


def _in_clusters(c: Comparison, codes: IntArray, metric: Quartet) -> IntArray:
    """The table of a flat comparison with clusters in the place of items, for items that share one are not independent.

    Every rate that is read is 0 or 1, so a rate's items are all in one cell: its clusters go there.
    """
    side, y, yhat = np.unravel_index(c.cells, (2, 2, 2))
    rate = side * 2 if metric in ("spd", "di") else side * 2 + y
    out = np.zeros((2, 2, 2), dtype=np.int64)
    for index, units in enumerate(groups_of(codes, rate, 4).tolist()):
        if units:
            out[index // 2, index % 2, yhat[rate == index][0]] = units
    return out


def _flat(counts: IntArray, metric: Quartet) -> bool:
    """Whether every rate the metric reads is 0 or 1."""
    both = rates(counts)
    read = {"spd": (both.selection,), "di": (both.selection,), "eod": (both.tpr,), "aod": (both.tpr, both.fpr)}[metric]
    return all(bool(np.isin(rate, (0.0, 1.0)).all()) for rate in read)
