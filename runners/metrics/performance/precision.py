"""Precision."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.performance.rates import PRECISION, Average, rate
from runners.metrics.performance.threshold import Threshold
from runners.registry import MetricValue, metric
from runners.statistics.wording import RATE_INTERVAL


@metric(
    "performance.precision",
    title="Precision",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions",),
    reference="TP / (TP + FP); interval: delta method on the logit scale",
    formula="precision = TP / (TP + FP)\nseveral classes: mean over classes",
    interval=RATE_INTERVAL,
    limits="It depends on the share of the class in the split, and says nothing of the items that were missed: read "
    "recall beside it. A mean over classes has no value as soon as one class is never said.",
)
def precision(ctx: MetricContext, *, average: Average = None, threshold: Threshold = None) -> MetricValue:
    """Share of right ones among the items said to have the class; with several classes the mean over classes.

    `average`: `positive` (default with two classes) or `macro`. `threshold` (two classes): a number from 0 to 1, or
    `tuned`, which takes the one that does best on the phase's validation split.
    Undefined where a class is never said.
    """
    return rate(ctx, PRECISION, average, threshold)
