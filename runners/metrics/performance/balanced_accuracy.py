"""Balanced accuracy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.context import IntArray, MetricContext
from runners.metrics.performance.counts import confusion, confusion_details
from runners.metrics.performance.threshold import Threshold, decide
from runners.registry import MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, groups_of, table_interval
from runners.statistics.intervals import FEW, mover


def mean_recall(tables: IntArray) -> npt.NDArray[np.float64]:
    """Mean over classes of hits over items, from counts `[..., class, missed or hit]`; NaN where a class has none."""
    rows, hits = tables.sum(axis=-1), tables[..., 1]
    recalls = np.divide(hits, rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    return np.asarray(recalls.mean(axis=-1), dtype=np.float64)


def _of_tables(tables: IntArray) -> npt.NDArray[np.float64]:
    """`mean_recall` of tables `[..., true, predicted]`."""
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    return mean_recall(np.stack([tables.sum(axis=-1) - hits, hits], axis=-1))


@metric(
    "performance.balanced_accuracy",
    title="Balanced accuracy",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions",),
    reference="Brodersen et al., ICPR 2010; interval: percentile bootstrap of the confusion table",
    formula="BA = (1/K) Σₖ right answers of class k / items of class k\nK = 2: (TPR + TNR) / 2",
    interval="Percentile bootstrap of each class's hits and misses (4000 draws), or of whole clusters (2000); where "
    "a class has fewer than 20 hits or misses (over clusters: where every recall is 0 or 1), MOVER from their Wilson "
    "intervals.",
    limits="Each class weighs the same whatever its size, so a class of few items makes it noisy. Exactly 1/K is "
    "what one and the same answer for every item gets: `performance.positive_rate` tells it from guessing.",
)
def balanced_accuracy(ctx: MetricContext, *, threshold: Threshold = None) -> MetricValue:
    """Mean recall over the classes; for two classes (TPR + TNR) / 2. Undefined where a class has no items.

    `threshold` (two classes): a number from 0 to 1, or `tuned`, which takes the one that does best on the phase's
    validation split.
    """
    classes = len(ctx.task.classes)
    found = decide(ctx, threshold, _of_tables)
    if isinstance(found, MetricValue):
        return found
    predictions = found.predictions
    table = confusion(ctx.labels, predictions, classes)
    rows = table.sum(axis=1)
    details = confusion_details(table, ctx.task.classes) | found.details
    if (rows == 0).any():
        absent = [name for name, count in zip(ctx.task.classes, rows, strict=True) if count == 0]
        return undefined(f"no item of the split has the class {', '.join(absent)}", n=ctx.n)
    hits = np.diagonal(table)
    details["recall"] = dict(zip(ctx.task.classes, (hits / rows).tolist(), strict=True))
    value = float(mean_recall(np.stack([rows - hits, hits], axis=1)))
    codes = cluster_codes(ctx.clusters)
    units = rows if codes is None else groups_of(codes, ctx.labels, classes)
    flat = bool(((hits == 0) | (hits == rows)).all())
    if flat or (codes is None and int(np.minimum(hits, rows - hits).min()) < FEW):
        # So little varies that a bootstrap would be too narrow. Items that share a cluster count once.
        low, high = mover([1 / classes] * classes, (hits / rows * units).tolist(), units.tolist())
        return MetricValue(value, low=max(0.0, low), high=min(1.0, high), n=ctx.n, details=details)
    # Hits and misses of each class are all that matters: with many classes the whole table would not fit into memory.
    interval = table_interval(
        mean_recall, ctx.labels * 2 + (predictions == ctx.labels), (classes, 2), codes,
        rng=ctx.rng("performance.balanced_accuracy"), units=None if codes is None else int(units.min()),
    )  # fmt: skip
    return MetricValue(value, low=interval[0], high=interval[1], n=ctx.n, details=details)
