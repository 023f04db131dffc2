"""The confusion matrix."""

from __future__ import annotations

import numpy as np
from pydantic import JsonValue

from runners.context import MetricContext
from runners.metrics.performance.accuracy import share_right
from runners.metrics.performance.counts import confusion, confusion_details
from runners.metrics.performance.threshold import Threshold, decide
from runners.registry import MetricValue, metric, undefined


@metric(
    "performance.confusion_matrix",
    title="Wrong answers (confusion matrix)",
    direction="minimise",
    range=(0.0, None),
    unit="items",
    needs=("predictions",),
    reference="Counts of true against predicted classes",
    formula="wrong = Σ n[true, predicted] over true ≠ predicted",
    interval="None: it is a count. `performance.accuracy` has the interval of the same share.",
    limits="A number of items, so splits of different size cannot be compared. Above 50 classes the table is left "
    "out of `details`, and the five worst pairs remain.",
)
def confusion_matrix(ctx: MetricContext, *, threshold: Threshold = None) -> MetricValue:
    """Number of wrong answers; `details.confusion` has all counts, rows are true classes and columns predicted ones.

    `details.worst` are the five pairs that are mixed up most often. `threshold` is that of `performance.accuracy`.
    """
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    found = decide(ctx, threshold, share_right)
    if isinstance(found, MetricValue):
        return found
    names = ctx.task.classes
    table = confusion(ctx.labels, found.predictions, len(names))
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    top = np.argsort(-wrong, axis=None, kind="stable")[:5]
    worst: list[JsonValue] = [
        {"true": names[int(cell) // len(names)], "predicted": names[int(cell) % len(names)], "items": int(count)}
        for cell, count in zip(top, wrong.ravel()[top], strict=True)
        if count
    ]
    details = confusion_details(table, names) | found.details | {"worst": worst}
    return MetricValue(float(wrong.sum()), n=ctx.n, details=details)
