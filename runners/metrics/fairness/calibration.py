"""Calibration within groups: whether a score means the same for each value of an attribute."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext
from runners.metrics.calibration.reliability import chance_in, expected_error, gaps_by_chance
from runners.metrics.fairness.evaluation import About, outcome_of
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.fairness.table import chunks
from runners.metrics.performance.counts import distribution
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import ITEM_DRAWS, TABLE_DRAWS, cluster_codes, cluster_tables, multinomial_tables

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@metric(
    "fairness.calibration_within_groups",
    title="Calibration error by group",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("probabilities", "attributes", "binary"),
    results=("[attribute=group]",),
    reference="Kleinberg, Mullainathan and Raghavan 2017; expected calibration error in bins of equal width; "
    "interval: basic bootstrap with the mean score of each bin held",
    formula="for each group: Σ_b (n_b / n) · |share with the outcome in bin b − mean score in bin b|",
    interval="Bootstrap of the group's counts in bins (4000 draws), or of whole clusters, the mean score of each bin "
    "held, turned over and freed of what chance adds; the lower end is 0 where calibrated scores would be seen to have "
    "as much.",
    limits="Noise makes it larger, the more so the smaller the group, so a smaller group looks worse at the same "
    "calibration: compare intervals, and `details.signed`, which noise does not push to one side. It cannot hold "
    "together with equal error rates where base rates differ (Kleinberg et al. 2017).",
)
def calibration_within_groups(
    ctx: MetricContext, *, attribute: str, bins: Annotated[int, Field(ge=2, le=100)] = 10, about: About = "positive"
) -> MetricReturn:
    """Mean distance, over bins of the score, of a group's share of the outcome from its mean score: 0 is calibrated.

    Noise makes it larger, the more so the smaller the group: compare groups by their intervals and
    `details.signed`, the mean outcome minus the mean score, which noise does not push to one side.
    """
    found, outcome = attribute_values(ctx, attribute), outcome_of(ctx, about)
    if found is None:
        return {f"[{attribute}]": undefined("the data split has no such attribute", state="not_applicable")}
    if isinstance(outcome, MetricValue):
        return {f"[{attribute}]": outcome}
    spec, values = found
    scores, y = distribution(ctx)[:, outcome], ctx.labels == outcome
    groups, counts, totals = binned(values, scores, y, bins)
    if not groups:
        return {f"[{attribute}]": undefined(f"no item has a known {attribute}", n=0)}
    out: dict[str, MetricValue] = {}
    for i, group in enumerate(groups):
        n = int(counts[i].sum())
        if n < spec.minimum:
            reason = f"{group} has {n} items of the {spec.minimum} that {attribute} asks for"
            value = undefined(reason, n=n, state="too_few")
        else:
            value = _group(ctx, counts[i], totals[i], (values, scores, y, group), attribute)
        out[f"[{attribute}={group}]"] = value
    return out


def binned(values: Attribute, scores: FloatArray, y: Bools, bins: int) -> tuple[tuple[str, ...], IntArray, FloatArray]:
    """The sorted groups, counts `[group, bin, y]` and sums of scores `[group, bin]`. Read in chunks."""
    size = bins * (len(values.names) + 1)
    counts, totals = np.zeros(2 * size, dtype=np.int64), np.zeros(size)
    for part in chunks(y.shape[0]):
        place = (values.codes[part] + np.int64(1)) * bins + _place(scores[part], bins)
        counts += np.bincount(place * 2 + y[part], minlength=2 * size)
        totals += np.bincount(place, weights=scores[part], minlength=size)
    tables, sums = counts.reshape(-1, bins, 2)[1:], totals.reshape(-1, bins)[1:]  # the unknown come first
    met = tables.sum(axis=(1, 2)) > 0
    return tuple(name for name, there in zip(values.names, met, strict=True) if there), tables[met], sums[met]


def _place(scores: FloatArray, bins: int) -> IntArray:
    """The bin of each score: equal widths, 1 belongs to the last."""
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


def _group(
    ctx: MetricContext,
    counts: IntArray,
    totals: FloatArray,
    items: tuple[Attribute, FloatArray, Bools, str],
    attribute: str,
) -> MetricValue:
    n = counts.sum(axis=1)
    mean = np.divide(totals, n, out=np.zeros(n.size), where=n > 0)
    value = float(expected_error(counts[:, 1] - totals, n))
    rng = ctx.rng(f"fairness.calibration.{attribute}.{items[3]}")
    tables, units = _drawn(ctx, counts, items, rng)
    sizes = tables.sum(axis=-1)
    gaps = tables[..., 1] - sizes * mean
    if units is None:
        without = expected_error(gaps_by_chance(n, totals, rng), n)
    else:
        off = np.divide(counts[:, 1] - totals, n, out=np.zeros(n.size), where=n > 0)
        without = expected_error(gaps - sizes * off, sizes)
    chance = chance_in(value, expected_error(gaps, sizes), without, units)
    curve: list[JsonValue] = [
        {"n": int(n[b]), "score": float(mean[b]), "outcome": float(counts[b, 1] / n[b])}
        for b in range(n.size)
        if n[b] > 0
    ]
    details: dict[str, JsonValue] = {
        "signed": float(counts[:, 1].sum() - totals.sum()) / int(n.sum()), "bins": curve,
        "debiased": chance.debiased(value), "chance": chance.alone,
    }  # fmt: skip
    return MetricValue(value, low=chance.low, high=chance.high, n=int(n.sum()), details=details)


def _drawn(
    ctx: MetricContext,
    counts: IntArray,
    items: tuple[Attribute, FloatArray, Bools, str],
    rng: np.random.Generator,
) -> tuple[IntArray, int | None]:
    """Replicates of a group's counts `[draw, bin, y]`, and how many clusters were drawn where items share some."""
    values, scores, y, group = items
    inside = values == group
    codes = cluster_codes(None if ctx.clusters is None else ctx.clusters[inside])
    if codes is None:
        return multinomial_tables(counts, draws=TABLE_DRAWS, rng=rng), None
    units = int(codes.max()) + 1
    if units < 2:  # nothing can be told of one cluster: a table that never varies gives no interval
        return counts[None], None
    cells = _place(scores[inside], counts.shape[0]) * 2 + y[inside]
    parts = list(cluster_tables(codes, cells, counts.size, draws=ITEM_DRAWS, rng=rng))
    return np.concatenate(parts).reshape(-1, *counts.shape), units
