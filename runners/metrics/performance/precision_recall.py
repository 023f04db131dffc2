"""The precision-recall curve of a score, and the areas under it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import FloatArray, MetricContext
from runners.metrics.performance.counts import distribution
from runners.metrics.performance.influence import logit_interval
from runners.registry import MetricValue, undefined
from runners.statistics.bootstrap import cluster_codes, groups_of
from runners.statistics.intervals import wilson


def curve(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Precision and recall at each distinct score, from the largest down. At least one item must be positive."""
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], positive[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.cumsum(truth)[ends]
    return hits / (ends + 1), hits / hits[-1]


def average_precision_of(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> float:
    """Sum over the curve of precision times the step in recall."""
    precision, recall = curve(scores, positive)
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def trapezoid_of(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> float:
    """Area under straight lines between the points of the curve, which begins at precision one and recall zero."""
    precision, recall = curve(scores, positive)
    middle = (precision + np.r_[1.0, precision[:-1]]) / 2
    return float((middle * np.diff(recall, prepend=0.0)).sum())


def area(ctx: MetricContext, of: Callable[[FloatArray, npt.NDArray[np.bool_]], float]) -> MetricValue:
    """The area of the positive class, or the mean over classes of one against the rest, with interval."""
    scores = distribution(ctx)
    classes = ctx.task.classes
    binary = ctx.task.kind == "binary"
    chosen = [ctx.task.positive_index] if binary else list(range(len(classes)))
    counts = np.bincount(ctx.labels, minlength=len(classes))
    absent = [classes[k] for k in chosen if counts[k] == 0]
    if absent:
        return undefined(f"no item of the split has the class {', '.join(absent)}", n=ctx.n)
    each = [of(scores[:, k], ctx.labels == k) for k in chosen]
    value = float(np.mean(each))
    codes = cluster_codes(ctx.clusters)
    units = int((counts if codes is None else groups_of(codes, ctx.labels, counts.size))[chosen].min())
    # What varies is where the positives stand: their number is what the interval rests on (Boyd et al. 2013).
    inside = 0.0 < value < 1.0 and units > 1
    low, high = logit_interval(value, (value * (1 - value) / units) ** 0.5) if inside else wilson(value * units, units)
    shares = counts[chosen] / max(1, ctx.n)
    details: dict[str, JsonValue] = {"chance": float(shares.mean())}
    if binary:
        details["positive"] = classes[chosen[0]]
    else:
        details |= {"average": "macro, one against the rest", "each": dict(zip(classes, each, strict=True))}
    return MetricValue(value, low=low, high=high, n=ctx.n, details=details)
