"""Differential fairness: the largest ratio of outcomes between any two groups, on the log scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, JsonValue

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.gaps import FloatArray
from runners.metrics.fairness.groups import number
from runners.metrics.fairness.intersections import Attributes
from runners.metrics.fairness.joint import Joint, item_cells, joint_table
from runners.metrics.performance.counts import answers
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import (
    TABLE_DRAWS,
    cluster_codes,
    multinomial_tables,
    percentile_interval,
    table_interval,
)
from runners.statistics.intervals import Interval, reaching_zero

Concentration = Annotated[float, Field(ge=0)]
Of = Literal["predictions", "labels"]
Statistic = Callable[[IntArray], FloatArray]
_REFERENCE = (
    "Foulds et al. 2018, An intersectional definition of fairness; as in AIF360; interval: percentile bootstrap"
)


def empirical(tables: IntArray, concentration: float, of: Of) -> FloatArray:
    """Smoothed empirical differential fairness of tables `[..., group, y, yhat]`; NaN where it is infinite.

    The largest |ln| ratio of two groups' shares with the outcome, or without it. `concentration` is that
    of the Dirichlet prior.
    """
    had = tables.sum(axis=-2)[..., 1] if of == "predictions" else tables.sum(axis=-1)[..., 1]
    n = tables.sum(axis=(-1, -2))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (had + concentration / 2) / (n + concentration)
        logs = np.stack([np.log(share), np.log1p(-share)])
        found = np.ptp(logs, axis=-1).max(axis=0)
    return np.asarray(np.where(np.isfinite(found), found, np.nan), dtype=np.float64)


def _measured(ctx: MetricContext, attribute: tuple[str, ...], concentration: float, of: tuple[Of, ...]) -> MetricValue:
    """The index of the first of `of`, minus that of the second where there is one."""
    index = ctx.task.favourable_index
    joint = undefined("no favourable class") if index is None else joint_table(ctx, attribute, index)
    if isinstance(joint, MetricValue):
        return joint
    kept = np.flatnonzero(joint.counts.sum(axis=(1, 2)) >= joint.minimum)
    n = int(joint.counts[kept].sum())
    if kept.size < 2:
        return undefined(f"{kept.size} groups have the {joint.minimum} items that are asked for", n=n, state="too_few")

    def statistic(tables: IntArray) -> FloatArray:
        parts = [empirical(tables, concentration, what) for what in of]
        return parts[0] - parts[1] if len(parts) > 1 else parts[0]

    value = number(statistic(joint.counts[kept]))
    if value is None:
        return undefined("a group has no item with the outcome, or none without it: the ratio is infinite", n=n)
    low, high = _interval(ctx, joint, kept, statistic, ".".join((*of, *attribute)))
    if len(of) == 1:
        low, high = reaching_zero(value, (low, high))
    details: dict[str, JsonValue] = {
        "groups": [joint.names[i] for i in kept.tolist()],
        "suppressed": len(joint.cells) - int(kept.size),
        "unknown": joint.unknown,
    }
    return MetricValue(value, low=low, high=high, n=n, details=details)


def _interval(ctx: MetricContext, joint: Joint, kept: IntArray, statistic: Statistic, purpose: str) -> Interval:
    rng, counts = ctx.rng(f"fairness.differential.{purpose}"), joint.counts[kept]
    if ctx.clusters is None:
        return percentile_interval(statistic(multinomial_tables(counts, draws=TABLE_DRAWS, rng=rng)))
    place = np.full(len(joint.cells) + 1, -1, dtype=np.int64)
    place[kept] = np.arange(kept.size)
    row, index = place[item_cells(ctx, joint)], ctx.task.favourable_index
    cells = (row * 4 + (ctx.labels == index) * 2 + (answers(ctx) == index))[row >= 0]
    return table_interval(statistic, cells, counts.shape, cluster_codes(ctx.clusters[row >= 0]), rng=rng)


@metric(
    "fairness.smoothed_empirical_differential_fairness",
    title="Smoothed empirical differential fairness",
    direction="minimise",
    range=(0.0, None),
    unit="nat",
    needs=("predictions", "attributes", "favourable"),
    reference=_REFERENCE,
    formula="SEDF = max over pairs of groups, and over having and lacking the outcome, of |ln(shareᵢ / shareⱼ)|\n"
    "share = (items with it + concentration / 2) / (items + concentration)",
    interval="Percentile bootstrap of the count table (4000 draws), or of whole clusters.",
    limits="A maximum of noisy ratios: it grows with the number of groups and of small ones. `concentration` draws "
    "shares of small groups to one half, and with 0 a share of 0 makes it undefined. Groups below the attributes' "
    "`minimum` are left out and counted.",
)
def smoothed_empirical_differential_fairness(
    ctx: MetricContext, *, attribute: Attributes, concentration: Concentration = 1.0, of: Of = "predictions"
) -> MetricReturn:
    """Largest |ln| ratio of two groups' shares of the favourable outcome, or of the other: 0 is equality.

    Groups are formed by all attributes together; those with too few items are left out and counted.
    `of`: what the model says, or what the data say.
    """
    return _measured(ctx, attribute, concentration, (of,))


@metric(
    "fairness.differential_fairness_bias_amplification",
    title="Differential fairness bias amplification",
    direction="minimise",
    range=(None, None),
    unit="nat",
    needs=("predictions", "attributes", "favourable"),
    reference=_REFERENCE,
    formula="SEDF of the predictions − SEDF of the labels",
    interval="Percentile bootstrap of the count table (4000 draws), or of whole clusters.",
    limits="Below 0 is less inequality than in the labels, which is no proof of fairness: the labels may be biased. "
    "Both parts are maxima, and not necessarily of the same two groups.",
)
def differential_fairness_bias_amplification(
    ctx: MetricContext, *, attribute: Attributes, concentration: Concentration = 1.0
) -> MetricReturn:
    """Differential fairness of what the model says minus that of the data: above 0 the model adds to the bias."""
    return _measured(ctx, attribute, concentration, ("predictions", "labels"))
