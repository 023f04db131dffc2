"""Inequality of benefit: Theil index, generalised entropy and coefficient of variation, over items or between groups.

The benefit of an item is 1 + yhat - y, about the favourable outcome: 0 where it was denied wrongly, 2
where it was given wrongly, 1 else. So these are functions of the count table too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.evaluation import Engine, comparison_of
from runners.metrics.fairness.groups import comparison_details, number
from runners.metrics.fairness.table import encode, outcome_table
from runners.metrics.fairness.wording import BENEFIT_INTERVAL
from runners.metrics.performance.counts import answers
from runners.registry import MetricReturn, MetricValue, Need, metric, undefined
from runners.statistics.bootstrap import (
    TABLE_DRAWS,
    cluster_codes,
    multinomial_tables,
    percentile_interval,
    table_interval,
)
from runners.statistics.intervals import Interval, reaching_zero

FloatArray = npt.NDArray[np.float64]
Statistic = Callable[[IntArray], FloatArray]
Between = Literal["sides", "groups"]
Alpha = Annotated[float, Field(ge=0)]
_REFERENCE = "Speicher et al., KDD 2018; as in AIF360"
_NEEDS: tuple[Need, ...] = ("predictions", "favourable")


def entropy(benefits: FloatArray, weights: FloatArray, alpha: float) -> FloatArray:
    """Generalised entropy index of `benefits` (..., k), each with a weight; NaN where the mean is 0.

    0 is equal benefit for all. With alpha 0 it is infinite as soon as one benefit is 0.
    """
    total = weights.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = weights / total
        mean = np.sum(np.where(weights > 0, share * benefits, 0.0), axis=-1, keepdims=True)
        relative = np.where(mean > 0, benefits / mean, np.nan)
        if alpha == 1:
            terms = np.where(relative > 0, relative * np.log(relative), relative)
        elif alpha == 0:
            terms = -np.log(relative)
        else:
            terms = (relative**alpha - 1) / (alpha * (alpha - 1))
        found = np.sum(np.where(weights > 0, share * terms, 0.0), axis=-1)
    return np.asarray(np.where(mean[..., 0] > 0, found, np.nan), dtype=np.float64)


def over_items(tables: IntArray, alpha: float) -> FloatArray:
    """The index over the items of tables `[..., y, yhat]`."""
    weights = np.stack([tables[..., 1, 0], tables[..., 0, 0] + tables[..., 1, 1], tables[..., 0, 1]], axis=-1)
    return entropy(np.broadcast_to(np.arange(3.0), weights.shape), weights.astype(np.float64), alpha)


def between(tables: IntArray, alpha: float) -> FloatArray:
    """The index where every item has the mean benefit of its group, of tables `[..., group, y, yhat]`."""
    sizes = tables.sum(axis=(-1, -2)).astype(np.float64)
    gained = (tables[..., 0, 1] - tables[..., 1, 0]).astype(np.float64)
    return entropy(1 + np.divide(gained, sizes, out=np.zeros_like(sizes), where=sizes > 0), sizes, alpha)


def _variation(index: FloatArray) -> FloatArray:
    """Coefficient of variation from the index with alpha 2."""
    return np.asarray(np.sqrt(2 * np.maximum(index, 0)), dtype=np.float64)


def _why(alpha: float) -> str:
    infinite = " with alpha 0 one item without benefit makes it infinite;" if alpha == 0 else ""
    return f"inequality is relative to the mean benefit:{infinite} where nobody has any it is 0/0"


def _interval(statistic: Statistic, counts: IntArray, rng: np.random.Generator) -> Interval:
    return percentile_interval(statistic(multinomial_tables(counts, draws=TABLE_DRAWS, rng=rng)))


def _over_items(ctx: MetricContext, name: str, statistic: Statistic, alpha: float, engine: Engine) -> MetricValue:
    index = ctx.task.favourable_index
    if index is None:
        raise RuntimeError("a metric about the favourable outcome must declare the need `favourable`")
    counts = outcome_table(ctx, index)
    details: dict[str, JsonValue] = {"counts": [[int(n) for n in row] for row in counts], "alpha": alpha}
    value = number(statistic(counts)) if ctx.n else None
    if value is None:
        return undefined(_why(alpha) if ctx.n else "the split has no items", n=ctx.n)
    rng, codes = ctx.rng(f"fairness.{name}"), cluster_codes(ctx.clusters)
    if codes is None:
        low, high = _interval(statistic, counts, rng)
    else:
        cells = (ctx.labels == index) * 2 + (answers(ctx) == index)
        low, high = table_interval(statistic, cells, (2, 2), codes, rng=rng)
    if engine == "aif360":
        from runners.adapters.aif360 import entropy_metric

        options = {"alpha": alpha} if name == "generalized_entropy_index" else {}
        value = entropy_metric(name, np.stack([counts, np.zeros_like(counts)]), **options)
    return MetricValue(value, low=low, high=high, n=ctx.n, details=details)


def _between(
    ctx: MetricContext, attribute: str, name: str, groups: Between, statistic: Statistic, alpha: float
) -> MetricReturn:
    key = f"[{attribute}]"
    c = comparison_of(ctx, attribute)
    if isinstance(c, MetricValue):
        return {key: c}
    kept = np.flatnonzero(c.table.counts.sum(axis=(1, 2)) >= c.spec.minimum)
    counts = c.counts if groups == "sides" else c.table.counts[kept]
    details = comparison_details(ctx, c) | {"alpha": alpha, "suppressed": len(c.table.groups) - int(kept.size)}
    n, value = int(counts.sum()), number(statistic(counts)) if counts.size else None
    if value is None:
        return {key: MetricValue(None, n=n, state="undefined", reason=_why(alpha), details=details)}
    rng = ctx.rng(f"fairness.{name}.{groups}.{attribute}")
    if c.codes is None or c.cells is None:
        interval = _interval(statistic, counts, rng)
    elif groups == "sides":
        interval = table_interval(statistic, c.cells, (2, 2, 2), c.codes, rng=rng)
    else:
        interval = _clustered(ctx, attribute, c.outcome, kept, statistic, rng)
    low, high = reaching_zero(value, interval)
    return {key: MetricValue(value, low=low, high=high, n=n, details=details)}


def _clustered(
    ctx: MetricContext, attribute: str, outcome: int, kept: IntArray, statistic: Statistic, rng: np.random.Generator
) -> Interval:
    groups, codes = encode(ctx.attributes[attribute])
    place = np.full(len(groups) + 1, -1, dtype=np.int64)
    place[kept] = np.arange(kept.size)
    row = place[codes]
    cells = (row * 4 + (ctx.labels == outcome) * 2 + (answers(ctx) == outcome))[row >= 0]
    shared = cluster_codes(None if ctx.clusters is None else ctx.clusters[row >= 0])
    return table_interval(statistic, cells, (int(kept.size), 2, 2), shared, rng=rng)


@metric(
    "fairness.theil_index",
    title="Theil index",
    direction="minimise",
    range=(0.0, None),
    needs=_NEEDS,
    unit="nat",
    reference=f"{_REFERENCE}; interval: bootstrap of the count table",
    formula="T = (1/n) Σᵢ (bᵢ/μ) ln(bᵢ/μ),  bᵢ = 1 + ŷᵢ − yᵢ about the favourable outcome, μ = mean b",
    interval=BENEFIT_INTERVAL,
    limits="No groups are looked at: inequality is over persons. Only errors make it differ from 0, and wrongly "
    "denied weigh more than wrongly given; a submission of few errors has little of it however they fall.",
)
def theil_index(ctx: MetricContext, *, engine: Engine = "native") -> MetricReturn:
    """Inequality of benefit over items, alpha 1: 0 where all are treated alike, ln n where one has it all."""
    return _over_items(ctx, "theil_index", lambda t: over_items(t, 1.0), 1.0, engine)


@metric(
    "fairness.generalized_entropy_index",
    title="Generalised entropy index",
    direction="minimise",
    range=(0.0, None),
    needs=_NEEDS,
    reference=f"{_REFERENCE} for alpha > 0; interval: bootstrap of the count table",
    formula="GEI = (1/n) Σᵢ ((bᵢ/μ)^α − 1) / (α (α − 1)),  bᵢ = 1 + ŷᵢ − yᵢ about the favourable outcome\n"
    "α = 1: Theil index; α = 0: mean log deviation",
    interval=BENEFIT_INTERVAL,
    limits="No groups are looked at. Only errors make it differ from 0. Numbers of different `alpha` cannot be "
    "compared.",
)
def generalized_entropy_index(ctx: MetricContext, *, alpha: Alpha = 2.0, engine: Engine = "native") -> MetricReturn:
    """Inequality of benefit over items: 0 where all are treated alike. A larger `alpha` weighs those on top more.

    For alpha 0 it is the mean log deviation, undefined where an item has no benefit; AIF360 divides that
    one by the mean benefit once more.
    """
    return _over_items(ctx, "generalized_entropy_index", lambda t: over_items(t, alpha), alpha, engine)


@metric(
    "fairness.coefficient_of_variation",
    title="Coefficient of variation of benefit",
    direction="minimise",
    range=(0.0, None),
    needs=_NEEDS,
    reference=f"{_REFERENCE}; interval: bootstrap of the count table",
    formula="CV = √(2 · GEI(α = 2)) = standard deviation of b / mean of b,  b = 1 + ŷ − y about the favourable outcome",
    interval=BENEFIT_INTERVAL,
    limits="No groups are looked at, and only errors make it differ from 0.",
)
def coefficient_of_variation(ctx: MetricContext, *, engine: Engine = "native") -> MetricReturn:
    """Standard deviation of benefit over its mean: 0 where all are treated alike."""
    return _over_items(ctx, "coefficient_of_variation", lambda t: _variation(over_items(t, 2.0)), 2.0, engine)


@metric(
    "fairness.between_group_generalized_entropy_index",
    title="Generalised entropy index between groups",
    direction="minimise",
    range=(0.0, None),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference=f"{_REFERENCE}, where items of neither side count with no benefit; here they are left out",
    formula="GEI of the groups' mean benefit, each weighted by its items,  b = 1 + ŷ − y about the favourable outcome",
    interval=BENEFIT_INTERVAL,
    limits="No inequality within groups is seen: it is 0 where wrongly given and wrongly denied outcomes balance in "
    "each group. Noise can only make it larger.",
)
def between_group_generalized_entropy_index(
    ctx: MetricContext, *, attribute: str, alpha: Alpha = 2.0, between_what: Between = "sides"
) -> MetricReturn:
    """The part of the inequality of benefit that lies between groups: 0 where all have the same mean benefit.

    `between_what`: the two sides, or each value of the attribute that has enough items.
    """
    name = "between_group_generalized_entropy_index"
    return _between(ctx, attribute, name, between_what, lambda t: between(t, alpha), alpha)


@metric(
    "fairness.between_group_theil_index",
    title="Theil index between groups",
    direction="minimise",
    range=(0.0, None),
    unit="nat",
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference=f"{_REFERENCE}, where items of neither side count with no benefit; here they are left out",
    formula="T of the groups' mean benefit, each weighted by its items,  b = 1 + ŷ − y about the favourable outcome",
    interval=BENEFIT_INTERVAL,
    limits="No inequality within groups is seen: it is 0 where wrongly given and wrongly denied outcomes balance in "
    "each group. Noise can only make it larger.",
)
def between_group_theil_index(ctx: MetricContext, *, attribute: str, between_what: Between = "sides") -> MetricReturn:
    """The part of the Theil index that lies between groups: 0 where all have the same mean benefit."""
    return _between(ctx, attribute, "between_group_theil_index", between_what, lambda t: between(t, 1.0), 1.0)


@metric(
    "fairness.between_group_coefficient_of_variation",
    title="Coefficient of variation between groups",
    direction="minimise",
    range=(0.0, None),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference=f"{_REFERENCE}, where items of neither side count with no benefit; here they are left out",
    formula="√(2 · GEI(α = 2)) of the groups' mean benefit, each weighted by its items,  b = 1 + ŷ − y about the "
    "favourable outcome",
    interval=BENEFIT_INTERVAL,
    limits="No inequality within groups is seen: it is 0 where wrongly given and wrongly denied outcomes balance in "
    "each group. Noise can only make it larger.",
)
def between_group_coefficient_of_variation(
    ctx: MetricContext, *, attribute: str, between_what: Between = "sides"
) -> MetricReturn:
    """Standard deviation of the groups' mean benefit, weighted by size, over the mean: 0 where all have the same."""
    name = "between_group_coefficient_of_variation"
    return _between(ctx, attribute, name, between_what, lambda t: _variation(between(t, 2.0)), 2.0)
