"""Accuracy."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.performance.counts import answers, confusion, confusion_details
from runners.metrics.performance.shares import share_interval
from runners.registry import MetricValue, metric, undefined


@metric(
    "performance.accuracy",
    title="Accuracy",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions",),
    reference="Share of right answers; interval: Wilson (1927), over clusters a percentile bootstrap (Efron 1979)",
)
def accuracy(ctx: MetricContext) -> MetricValue:
    """Share of items whose predicted class is the true one."""
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    predictions = answers(ctx)
    right = predictions == ctx.labels
    table = confusion(ctx.labels, predictions, len(ctx.task.classes))
    low, high = share_interval(right, ctx.clusters, rng=ctx.rng("performance.accuracy"))
    details = confusion_details(table, ctx.task.classes)
    return MetricValue(float(right.mean()), low=low, high=high, n=ctx.n, details=details)
