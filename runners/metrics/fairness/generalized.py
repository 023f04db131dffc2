"""Error rates of scores instead of decisions: what a model's probabilities say of each side, without a threshold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.evaluation import comparison_of
from runners.metrics.fairness.formulae import Folded
from runners.metrics.fairness.groups import Comparison, comparison_details, item_sides
from runners.metrics.fairness.table import chunks
from runners.metrics.performance.counts import distribution
from runners.registry import MetricReturn, MetricValue, Need, metric
from runners.statistics.bootstrap import (
    TABLE_DRAWS,
    group_sums,
    groups_of,
    percentile_interval,
    resample_sums,
)
from runners.statistics.intervals import Interval

FloatArray = npt.NDArray[np.float64]
#: The clusters of each true outcome where items share none.
_ALONE: tuple[int | None, int | None] = (None, None)
#: How an interval of a signed difference becomes one of its size.
_FOLDED = Folded((), max)
_NEEDS: tuple[Need, ...] = ("predictions", "probabilities", "attributes", "favourable")
_INTERVAL = (
    "Means of the scores of each side and outcome as Student's t has them (4000 draws), over clusters 2000 draws of "
    "whole clusters; none where nothing varies, or a side has a single item."
)
_LIMITS = (
    "About scores, not decisions: a threshold may make large differences of small ones, or hide them. Of uncalibrated "
    "scores a mean says little; scores that are all near the base rate have small differences and no use."
)
_REFERENCE = "Pleiss et al. 2017; as in AIF360; interval: normal means of scores, over clusters a bootstrap"


def score_sums(scores: FloatArray, side: npt.NDArray[np.int8], y: npt.NDArray[np.bool_]) -> FloatArray:
    """n, sum and sum of squares of the scores `[side, y]` of the compared items: (3, 2, 2). Read in chunks."""
    out = np.zeros((3, 4))
    for part in chunks(scores.shape[0]):
        compared = side[part] >= 0
        s, cell = scores[part][compared], (side[part] * 2 + y[part])[compared]
        for i, weight in enumerate((np.ones_like(s), s, s * s)):
            out[i] += np.bincount(cell, weights=weight, minlength=4)
    return out.reshape(3, 2, 2)


def _means(n: FloatArray, total: FloatArray) -> FloatArray:
    return np.asarray(np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0), dtype=np.float64)


def _evaluate(ctx: MetricContext, attribute: str, outcomes: tuple[int, ...], name: str) -> MetricReturn:
    """The difference of mean scores of those with one true outcome, or the larger of the two distances."""
    key = f"[{attribute}]"
    c = comparison_of(ctx, attribute)
    if isinstance(c, MetricValue):
        return {key: c}
    scores, y = distribution(ctx)[:, c.outcome], ctx.labels == c.outcome
    side = item_sides(c.spec, ctx.attributes[attribute])
    n, total, squares = score_sums(scores, side, y)
    means = _means(n, total)
    details = comparison_details(ctx, c) | {"mean_scores": _mean_scores(means)}
    items = int(n.sum())
    if np.isnan(means[:, list(outcomes)]).any():
        reason = "a side has no item whose true outcome is the favourable one, or none whose is not"
        return {key: MetricValue(None, n=items, state="undefined", reason=reason, details=details)}
    rng = ctx.rng(f"fairness.{name}.{attribute}")
    if c.codes is None or c.cells is None:
        drawn, units = _means_drawn(n, means, squares, rng), _ALONE
    else:
        drawn, units = _clustered(scores, side, y, c, rng), _units(c.codes, c.cells)
    found = [
        (float(means[0, i] - means[1, i]), percentile_interval(drawn[:, 0, i] - drawn[:, 1, i], units=units[i]))
        for i in outcomes
    ]
    value, (low, high) = found[0] if len(found) == 1 else _worse(found)
    return {key: MetricValue(value, low=low, high=high, n=items, details=details)}


def _means_drawn(n: FloatArray, means: FloatArray, squares: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Mean scores `[draw, side, y]` as Student's t has them; NaN where there are fewer than two items."""
    variance = np.maximum(squares / np.maximum(n, 1) - means**2, 0) / np.maximum(n - 1, 1)
    spread = np.sqrt(np.where(n > 1, variance, np.nan))
    return np.clip(means + spread * rng.standard_t(np.maximum(n - 1, 1), (TABLE_DRAWS, 2, 2)), 0.0, 1.0)


def _units(codes: IntArray, cells: IntArray) -> tuple[int | None, int | None]:
    """For each true outcome the clusters of the side that has the fewest; `cells` are those of a `Comparison`."""
    clusters = groups_of(codes, cells // 2, 4).reshape(2, 2).min(axis=0)
    return int(clusters[0]), int(clusters[1])


def _worse(found: list[tuple[float, Interval]]) -> tuple[float, Interval]:
    """The larger distance from 0, with an interval from those of the two differences."""
    folded = [_FOLDED.fold_interval(interval) for _, interval in found]
    lows, highs = [low for low, _ in folded if low is not None], [high for _, high in folded if high is not None]
    value = max(abs(difference) for difference, _ in found)
    return value, (max(lows), max(highs)) if len(lows) == len(highs) == len(found) else (None, None)


def _clustered(
    scores: FloatArray,
    side: npt.NDArray[np.int8],
    y: npt.NDArray[np.bool_],
    c: Comparison,
    rng: np.random.Generator,
) -> FloatArray:
    """Replicates of the mean scores `[draw, side, y]` with whole clusters drawn."""
    if c.codes is None:
        raise RuntimeError("only a comparison of items that share clusters has clusters")
    compared = side >= 0
    one = np.eye(4)[(side * 2 + y)[compared]]
    sums = group_sums(c.codes, np.hstack([one, one * scores[compared][:, None]]))
    if sums.shape[0] < 2:
        return np.full((1, 2, 2), np.nan)
    drawn = resample_sums(sums, draws=TABLE_DRAWS // 2, rng=rng).reshape(-1, 2, 2, 2)
    return _means(drawn[:, 0], drawn[:, 1])


def _mean_scores(means: FloatArray) -> JsonValue:
    """Of each side, the mean favourable score of those who deserve the outcome and of those who do not."""
    shown = [[None if np.isnan(v) else float(v) for v in row] for row in means]
    return {
        name: {"generalized_fpr": row[0], "generalized_tpr": row[1]}
        for name, row in zip(("unprivileged", "privileged"), shown, strict=True)
    }


@metric(
    "fairness.generalized_true_positive_rate_difference",
    title="Generalised TPR difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=_NEEDS,
    results=("[attribute]",),
    reference=_REFERENCE,
    formula="mean score of the unprivileged who deserve the outcome − mean score of the privileged who do",
    interval=_INTERVAL,
    limits=_LIMITS,
)
def generalized_true_positive_rate_difference(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """Mean favourable score of those who deserve the outcome, unprivileged - privileged: 0 is equality.

    The generalised FNR difference is its negative.
    """
    return _evaluate(ctx, attribute, (1,), "generalized_true_positive_rate_difference")


@metric(
    "fairness.generalized_false_positive_rate_difference",
    title="Generalised FPR difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=_NEEDS,
    results=("[attribute]",),
    reference=_REFERENCE,
    formula="mean score of the unprivileged who do not deserve the outcome − mean score of the privileged who do not",
    interval=_INTERVAL,
    limits=_LIMITS,
)
def generalized_false_positive_rate_difference(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """Mean favourable score of those who do not deserve the outcome, unprivileged - privileged: 0 is equality.

    The generalised TNR difference is its negative.
    """
    return _evaluate(ctx, attribute, (0,), "generalized_false_positive_rate_difference")


@metric(
    "fairness.generalized_equalized_odds_difference",
    title="Generalised equalised odds difference",
    direction="minimise",
    range=(0.0, 1.0),
    needs=_NEEDS,
    results=("[attribute]",),
    reference=_REFERENCE,
    formula="max(|difference of generalised FPR|, |difference of generalised TPR|)",
    interval=_INTERVAL,
    limits=_LIMITS,
)
def generalized_equalized_odds_difference(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """The greater of the absolute differences of generalised TPR and FPR: 0 is equality of odds of the scores."""
    return _evaluate(ctx, attribute, (0, 1), "generalized_equalized_odds_difference")
