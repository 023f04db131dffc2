"""Brier score."""

from __future__ import annotations

import numpy as np

from runners.context import MetricContext
from runners.metrics.performance.counts import distribution
from runners.registry import MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL


@metric(
    "calibration.brier_score",
    title="Brier score",
    direction="minimise",
    range=(0.0, 2.0),
    needs=("probabilities",),
    reference="Brier 1950; interval: percentile bootstrap over items or clusters",
    formula="two classes: (1/n) Σᵢ (pᵢ − yᵢ)²,  p and y of the positive class (0 to 1)\n"
    "more: (1/n) Σᵢ Σₖ (pᵢₖ − [yᵢ = k])² (0 to 2)",
    interval=MEAN_INTERVAL,
    limits="It mixes calibration with being right, so a low value may come from either: read the calibration error "
    "beside it, and `details.constant_answer`, the score of always answering the shares of the classes.",
)
def brier_score(ctx: MetricContext) -> MetricValue:
    """Mean squared error of the probabilities; it rewards being right as well as being calibrated.

    With two classes (p(positive) - 1 or 0)^2, from 0 to 1. With more the sum of the squares over all classes, from 0
    to 2. `details.constant_answer` is the score of answering each class's share in the split.
    """
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    chances = distribution(ctx)
    scale = 0.5 if ctx.task.kind == "binary" else 1.0
    own = chances[np.arange(ctx.n), ctx.labels]
    errors = scale * ((chances**2).sum(axis=1) - 2 * own + 1.0)
    low, high = mean_interval(errors, cluster_codes(ctx.clusters), rng=ctx.rng("calibration.brier_score"))
    shares = np.bincount(ctx.labels, minlength=len(ctx.task.classes)) / ctx.n
    details = {"constant_answer": float(scale * (1.0 - (shares**2).sum()))}
    return MetricValue(float(errors.mean()), low=low, high=high, n=ctx.n, details={**details})
