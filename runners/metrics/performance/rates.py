"""Precision, recall and F1: ratios of counts of each class, and how their mean over classes varies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import FloatArray, IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.performance.counts import confusion, confusion_details
from runners.metrics.performance.influence import share_like_interval
from runners.metrics.performance.threshold import decide
from runners.registry import MetricValue, undefined
from runners.statistics.bootstrap import cluster_codes, groups_of

#: `positive`: of the positive class; `macro`: the mean over all classes. Default: by the task.
Average = Literal["positive", "macro"] | None


@dataclass(frozen=True)
class Ratio:
    """hits * `gain` / (`true` * items of the class + `predicted` * items said to be of it)."""

    gain: int
    true: int
    predicted: int
    lacking: str

    def parts(self, tables: IntArray) -> tuple[IntArray, IntArray]:
        """Numerators and denominators by class, from tables `[..., true, predicted]`."""
        hits = np.diagonal(tables, axis1=-2, axis2=-1)
        return self.gain * hits, self.true * tables.sum(axis=-1) + self.predicted * tables.sum(axis=-2)


PRECISION = Ratio(1, 0, 1, "no item is said to have the class")
RECALL = Ratio(1, 1, 0, "no item of the split has the class")
F1 = Ratio(2, 1, 1, "no item has, and none is said to have, the class")


def rate(ctx: MetricContext, ratio: Ratio, average: Average, threshold: float | str | None) -> MetricValue:
    """The ratio of the positive class, or its mean over classes, with interval.

    Raises:
        ScorerFault: `positive` or a threshold for a task of more than two classes.
    """
    chosen = _classes(ctx, average)
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    found = decide(ctx, threshold, lambda tables: _mean(ratio, tables, chosen))
    if isinstance(found, MetricValue):
        return found
    size = len(ctx.task.classes)
    table = confusion(ctx.labels, found.predictions, size)
    top, bottom = ratio.parts(table)
    details = confusion_details(table, ctx.task.classes) | found.details
    empty = [ctx.task.classes[k] for k in chosen if bottom[k] == 0]
    if empty:
        return MetricValue(
            None, n=ctx.n, state="undefined", reason=f"{ratio.lacking} {', '.join(empty)}", details=details
        )
    each = np.divide(top, bottom, out=np.zeros(size), where=bottom > 0)
    value = float(each[chosen].mean())
    details |= _shown(ctx, chosen, each)
    codes = cluster_codes(ctx.clusters)
    influence = _influence(ctx.labels, found.predictions, ratio, each, bottom, chosen)
    units = _units(ctx, found.predictions, ratio, codes)
    low, high = share_like_interval(value, influence, codes, int(units[chosen].min()))
    return MetricValue(value, low=low, high=high, n=ctx.n, details=details)


def _classes(ctx: MetricContext, average: Average) -> list[int]:
    binary = ctx.task.kind == "binary"
    if average == "positive" and not binary:
        raise ScorerFault(
            "A task of more than two classes has no positive class.", hint="Set `average: macro`, or leave it out."
        )
    return [ctx.task.positive_index] if binary and average != "macro" else list(range(len(ctx.task.classes)))


def _mean(ratio: Ratio, tables: IntArray, chosen: list[int]) -> npt.NDArray[np.float64]:
    top, bottom = ratio.parts(tables)
    each = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return np.asarray(each[..., chosen].mean(axis=-1), dtype=np.float64)


def _shown(ctx: MetricContext, chosen: list[int], each: FloatArray) -> dict[str, JsonValue]:
    if len(chosen) == 1 and ctx.task.kind == "binary":
        return {"average": "positive", "positive": ctx.task.classes[chosen[0]]}
    return {"average": "macro", "each": dict(zip(ctx.task.classes, each.tolist(), strict=True))}


def _influence(
    labels: IntArray, predictions: IntArray, ratio: Ratio, each: FloatArray, bottom: IntArray, chosen: list[int]
) -> FloatArray:
    """What each item adds to the error of the mean: of A/B, (a - A/B * b) / B for the item's own a and b."""
    weight = np.zeros(each.size)
    weight[chosen] = 1 / (len(chosen) * bottom[chosen])
    hit = (labels == predictions) * ratio.gain * weight[labels]
    lost = ratio.true * each[labels] * weight[labels] + ratio.predicted * each[predictions] * weight[predictions]
    return np.asarray(hit - lost, dtype=np.float64)


def _units(ctx: MetricContext, predictions: IntArray, ratio: Ratio, codes: IntArray | None) -> IntArray:
    """Independent units that each class's ratio rests on: items, or clusters that have one."""
    size = len(ctx.task.classes)
    kinds = [kind for kind, used in ((ctx.labels, ratio.true), (predictions, ratio.predicted)) if used]
    if codes is None:
        counts = [np.bincount(kind, minlength=size) for kind in kinds]
    else:
        counts = [groups_of(codes, kind, size) for kind in kinds]
    return np.asarray(np.maximum.reduce(counts), dtype=np.int64)
