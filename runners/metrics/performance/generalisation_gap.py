"""The generalisation gap."""

from __future__ import annotations

import math

import numpy as np

from runners.context import MetricContext
from runners.metrics.performance.counts import answers
from runners.metrics.performance.shares import share_interval
from runners.registry import MetricValue, metric, undefined


@metric(
    "performance.generalisation_gap",
    title="Generalisation gap (accuracy)",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "validation"),
    reference="Accuracy on the validation split less that on the split scored; interval: Newcombe 1998, method 10",
    formula="gap = accuracy on the validation split − accuracy on the items scored",
    interval="Newcombe's method 10: the two splits' Wilson intervals (over clusters their bootstraps) squared and "
    "added.",
    limits="Not the gap to the training data, which the judge does not have. A gap may come from fitting the "
    "validation items or from a harder scored split; 0 may hide both.",
)
def generalisation_gap(ctx: MetricContext) -> MetricValue:
    """Accuracy on the validation split minus accuracy on the items scored; 0 where the submission does as well on both.

    Above 0 where it does better on the validation items: they may have been trained on, or the scored ones are harder.
    """
    held = ctx.validation
    if held is None or held.predictions is None:
        raise RuntimeError("runs only where the needs it declares are met")
    if not ctx.n or not held.n:
        return undefined("one of the two splits has no items", n=min(ctx.n, held.n))
    rng = ctx.rng("performance.generalisation_gap")
    one, other = held.predictions == held.labels, answers(ctx) == ctx.labels
    p, q = float(np.mean(one)), float(np.mean(other))
    (p_low, p_high), (q_low, q_high) = (
        share_interval(one, held.clusters, rng=rng), share_interval(other, ctx.clusters, rng=rng),
    )  # fmt: skip
    details = {"validation_accuracy": p, "accuracy": q, "validation_items": held.n}
    if p_low is None or p_high is None or q_low is None or q_high is None:
        return MetricValue(p - q, n=ctx.n, details={**details})
    return MetricValue(
        p - q,
        low=p - q - math.hypot(p - p_low, q_high - q),
        high=p - q + math.hypot(p_high - p, q - q_low),
        n=ctx.n,
        details={**details},
    )
