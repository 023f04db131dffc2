"""Calibration within groups: whether a score means the same for each value of an attribute."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import IntArray, MetricContext, Names
from runners.metrics.fairness.evaluation import About, outcome_of
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.fairness.table import Coder, chunks
from runners.metrics.performance.counts import distribution
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import (
    TABLE_DRAWS,
    cluster_codes,
    multinomial_tables,
    percentile_interval,
    table_interval,
)

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def calibration_error(counts: IntArray, scores: FloatArray) -> FloatArray:
    """Expected calibration error of counts `[..., bin, y]`, with the mean score of each bin, (bins,)."""
    n = counts.sum(axis=-1)
    off = np.abs(counts[..., 1] - n * scores).sum(axis=-1)
    total = n.sum(axis=-1)
    return np.asarray(np.divide(off, total, out=np.full(np.shape(total), np.nan), where=total > 0), dtype=np.float64)


@metric(
    "fairness.calibration_within_groups",
    title="Calibration error by group",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("probabilities", "attributes", "binary"),
    results=("[attribute=group]",),
    reference="Kleinberg, Mullainathan and Raghavan 2017; expected calibration error in bins of equal width; "
    "interval: basic bootstrap with the mean score of each bin held",
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


def binned(values: Names, scores: FloatArray, y: Bools, bins: int) -> tuple[tuple[str, ...], IntArray, FloatArray]:
    """The sorted groups, counts `[group, bin, y]` and sums of scores `[group, bin]`. Read in chunks."""
    coder = Coder()
    counts: IntArray = np.zeros(0, dtype=np.int64)
    totals: FloatArray = np.zeros(0)
    for part in chunks(y.shape[0]):
        place = coder.codes(values[part]) * bins + _place(scores[part], bins)
        size = 2 * bins * (len(coder.names) + 1)
        counts = np.bincount(place * 2 + y[part], minlength=size) + np.pad(counts, (0, size - counts.size))
        found = np.asarray(np.bincount(place, weights=scores[part], minlength=size // 2), dtype=np.float64)
        totals = found + np.pad(totals, (0, size // 2 - totals.size))
    groups = tuple(sorted(coder.names))
    rows = [coder.names[group] for group in groups]
    if not groups:
        return (), np.zeros((0, bins, 2), dtype=np.int64), np.zeros((0, bins))
    return groups, counts.reshape(-1, bins, 2)[rows], totals.reshape(-1, bins)[rows]


def _place(scores: FloatArray, bins: int) -> IntArray:
    """The bin of each score: equal widths, 1 belongs to the last."""
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


def _group(
    ctx: MetricContext,
    counts: IntArray,
    totals: FloatArray,
    items: tuple[Names, FloatArray, Bools, str],
    attribute: str,
) -> MetricValue:
    n = counts.sum(axis=1)
    mean = np.divide(totals, n, out=np.zeros(n.size), where=n > 0)
    rng = ctx.rng(f"fairness.calibration.{attribute}.{items[3]}")

    def statistic(tables: IntArray) -> FloatArray:
        return calibration_error(tables, mean)

    if ctx.clusters is None:
        low, high = percentile_interval(statistic(multinomial_tables(counts, draws=TABLE_DRAWS, rng=rng)))
    else:
        values, scores, y, group = items
        inside = np.array([value == group for value in values], dtype=bool)
        cells = _place(scores[inside], n.size) * 2 + y[inside]
        low, high = table_interval(statistic, cells, counts.shape, cluster_codes(ctx.clusters[inside]), rng=rng)
    curve: list[JsonValue] = [
        {"n": int(n[b]), "score": float(mean[b]), "outcome": float(counts[b, 1] / n[b])}
        for b in range(n.size)
        if n[b] > 0
    ]
    signed = float(counts[:, 1].sum() - totals.sum()) / int(n.sum())
    details: dict[str, JsonValue] = {"signed": signed, "bins": curve}
    value = float(calibration_error(counts, mean))
    if low is None or high is None or low == high:
        return MetricValue(value, n=int(n.sum()), details=details)
    # Replicates are pushed up by noise once more: mirrored about the value they show how far it was itself.
    return MetricValue(
        value, low=max(0.0, min(value, 2 * value - high)), high=min(1.0, max(value, 2 * value - low)),
        n=int(n.sum()), details=details,
    )  # fmt: skip
