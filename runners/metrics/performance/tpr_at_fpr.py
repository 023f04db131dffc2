"""True positive rate at small false positive rates."""

from __future__ import annotations

import math

import numpy as np

from runners.context import MetricContext
from runners.metrics.performance.counts import distribution
from runners.metrics.performance.shares import share_interval
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined
from runners.statistics.wording import SHARE_INTERVAL

#: Result keys and the false positive rates they stand for.
RATES = {"fpr_10": 0.1, "fpr_1": 0.01, "fpr_0_1": 0.001}


@metric(
    "performance.tpr_at_fpr",
    title="TPR at a fixed FPR",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("probabilities", "binary"),
    results=(
        Column("fpr_10", title="TPR at 10 % FPR"),
        Column("fpr_1", title="TPR at 1 % FPR"),
        Column("fpr_0_1", title="TPR at 0.1 % FPR"),
    ),
    reference="Point of the ROC curve, never interpolated; interval: Wilson at the threshold found",
    formula="TPR(t) = positive items with a score above t / positive items\n"
    "t = the lowest threshold that at most ⌊rate · negative items⌋ negative items pass",
    interval=SHARE_INTERVAL,
    limits="The threshold is found on the items it is applied to, and the interval takes it as given. The rates "
    "need 10, 100 and 1000 negative items, and rest on a single one of them at these numbers.",
)
def tpr_at_fpr(ctx: MetricContext) -> MetricReturn:
    """Share of positive items found by the lowest threshold whose false positive rate is at most 10, 1 and 0.1 %.

    Undefined where there are no positive items, or too few negative ones for one of them to be that share. The
    threshold is found on the items it is applied to; the interval takes it as given.
    """
    scores = distribution(ctx)[:, ctx.task.positive_index]
    positive = ctx.labels == ctx.task.positive_index
    return {key: _at(ctx, scores, positive, rate) for key, rate in RATES.items()}


def _at(ctx: MetricContext, scores: np.ndarray, positive: np.ndarray, rate: float) -> MetricValue:
    negatives = np.sort(scores[~positive])[::-1]
    if not positive.any():
        return undefined("no item of the split has the positive class", n=ctx.n)
    # 0.1 * 10 must be one item, whatever the last bit of the product says.
    allowed = math.floor(rate * negatives.size * (1 + 1e-12))
    if allowed < 1:
        reason = f"{negatives.size} negative items cannot tell a rate of {rate:g}; {round(1 / rate)} are needed"
        return undefined(reason, n=ctx.n)
    # Just above the first negative that must be left out; all of its score are left out with it.
    floor = float(negatives[allowed]) if allowed < negatives.size else -math.inf
    hits = scores[positive] > floor
    clusters = None if ctx.clusters is None else ctx.clusters[positive]
    low, high = share_interval(hits, clusters, rng=ctx.rng(f"performance.tpr_at_fpr.{rate:g}"))
    wrong = int((negatives > floor).sum())
    details = {"false_positives": wrong, "negatives": int(negatives.size), "fpr": wrong / negatives.size}
    return MetricValue(float(hits.mean()), low=low, high=high, n=int(positive.sum()), details={**details})
