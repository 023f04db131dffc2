"""Top-k accuracy."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from runners.context import MetricContext
from runners.metrics.performance.counts import distribution
from runners.metrics.performance.shares import share_interval
from runners.registry import MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval


@metric(
    "performance.top_k_accuracy",
    title="Top-k accuracy",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("probabilities",),
    reference="Share of items whose class is among the k most probable; interval: Wilson, else percentile bootstrap",
    formula="top-k accuracy = (1/n) Σᵢ [true class among the k most probable]\n"
    "in a tie for the last places: the chance to be drawn",
    interval="Wilson score interval, over clusters a percentile bootstrap; with ties a percentile bootstrap of the "
    "mean.",
    limits="With few classes it is near 1 for anybody: k / K is chance. It does not tell how probable the true "
    "class was.",
)
def top_k_accuracy(ctx: MetricContext, *, k: Annotated[int, Field(ge=1, le=1000)] = 5) -> MetricValue:
    """Share of items whose true class is among the k most probable ones.

    Of classes that tie for the last places an item counts the chance to be drawn, so that an answer that is the same
    for every class is worth k over the number of classes. Undefined where there are no more than k classes.
    """
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    classes = len(ctx.task.classes)
    if k >= classes:
        return undefined(f"with {classes} classes the true one is always among the first {k}", n=ctx.n)
    chances = distribution(ctx)
    own = chances[np.arange(ctx.n), ctx.labels][:, None]
    above, tied = (chances > own).sum(axis=1), (chances == own).sum(axis=1)
    hits = np.clip((k - above) / tied, 0.0, 1.0)
    rng = ctx.rng("performance.top_k_accuracy")
    if ((hits == 0.0) | (hits == 1.0)).all():
        low, high = share_interval(hits == 1.0, ctx.clusters, rng=rng)
    else:
        low, high = mean_interval(hits, cluster_codes(ctx.clusters), rng=rng)
    return MetricValue(float(hits.mean()), low=low, high=high, n=ctx.n, details={"k": k, "tied": int((tied > 1).sum())})
