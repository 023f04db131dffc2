"""Accuracy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.context import IntArray, MetricContext
from runners.metrics.performance.counts import confusion, confusion_details
from runners.metrics.performance.shares import share_interval
from runners.metrics.performance.threshold import Threshold, decide
from runners.registry import MetricValue, metric, undefined
from runners.statistics.wording import SHARE_INTERVAL


def share_right(tables: IntArray) -> npt.NDArray[np.float64]:
    """Right answers over all, from tables `[..., true, predicted]`."""
    right = np.trace(tables, axis1=-2, axis2=-1)
    return np.asarray(right / tables.sum(axis=(-2, -1)), dtype=np.float64)


@metric(
    "performance.accuracy",
    title="Accuracy",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions",),
    reference="Share of right answers; interval: Wilson (1927), over clusters a percentile bootstrap (Efron 1979)",
    formula="accuracy = right answers / n",
    interval=SHARE_INTERVAL,
    limits="Where classes differ in size, naming the largest every time has its share: read balanced accuracy and "
    "the confusion matrix beside it.",
)
def accuracy(ctx: MetricContext, *, threshold: Threshold = None) -> MetricValue:
    """Share of items whose predicted class is the true one.

    `threshold` (two classes): a number from 0 to 1, or `tuned`, which takes the one that does best on the phase's
    validation split.
    """
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    found = decide(ctx, threshold, share_right)
    if isinstance(found, MetricValue):
        return found
    predictions = found.predictions
    right = predictions == ctx.labels
    table = confusion(ctx.labels, predictions, len(ctx.task.classes))
    low, high = share_interval(right, ctx.clusters, rng=ctx.rng("performance.accuracy"))
    details = confusion_details(table, ctx.task.classes) | found.details
    return MetricValue(float(right.mean()), low=low, high=high, n=ctx.n, details=details)
