"""F1 score."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.performance.rates import F1, Average, rate
from runners.metrics.performance.threshold import Threshold
from runners.registry import MetricValue, metric
from runners.statistics.wording import RATE_INTERVAL


@metric(
    "performance.f1",
    title="F1 score",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions",),
    reference="van Rijsbergen 1979: 2 TP / (2 TP + FP + FN); interval: delta method on the logit scale",
    formula="F1 = 2 TP / (2 TP + FP + FN)\nseveral classes: mean over classes",
    interval=RATE_INTERVAL,
    limits="It leaves out the true negatives, so it changes with the share of the positive class and with which "
    "class is called positive. Precision and recall weigh the same in it, whatever errors cost.",
)
def f1(ctx: MetricContext, *, average: Average = None, threshold: Threshold = None) -> MetricValue:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), of the positive class or the mean over classes.

    `average`: `positive` (default with two classes) or `macro`. `threshold` (two classes): a number from 0 to 1, or
    `tuned`, which takes the one that does best on the phase's validation split.
    Undefined where a class neither occurs nor is ever said.
    """
    return rate(ctx, F1, average, threshold)
