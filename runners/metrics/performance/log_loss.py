"""Log loss (categorical cross-entropy)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from runners.context import MetricContext
from runners.metrics.performance.counts import distribution
from runners.registry import MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL


@metric(
    "performance.log_loss",
    title="Log loss",
    direction="minimise",
    range=(0.0, None),
    unit="nat",
    needs=("probabilities",),
    reference="Good 1952; interval: percentile bootstrap over items or clusters",
    formula="log loss = −(1/n) Σᵢ ln pᵢ,  pᵢ = probability of the true class, clipped to [eps, 1 − eps]",
    interval=MEAN_INTERVAL,
    limits="A few sure mistakes rule it: with the default `eps` each costs 34.5 nat, and `details.clipped` counts "
    "them. It mixes calibration with being right, and ln K is what an even answer over K classes gets: compare "
    "tasks of the same number of classes only.",
)
def log_loss(ctx: MetricContext, *, eps: Annotated[float, Field(gt=0, lt=0.5)] = 1e-15) -> MetricValue:
    """Mean of -ln p(true class), in nats; p is clipped to [eps, 1 - eps] so that one sure mistake stays finite.

    `details.clipped` counts the items whose probability was clipped from below.
    """
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    chance = distribution(ctx)[np.arange(ctx.n), ctx.labels]
    losses = -np.log(np.clip(chance, eps, 1 - eps))
    low, high = mean_interval(losses, cluster_codes(ctx.clusters), rng=ctx.rng("performance.log_loss"))
    details = {"clipped": int((chance < eps).sum()), "eps": eps}
    return MetricValue(float(losses.mean()), low=low, high=high, n=ctx.n, details={**details})
