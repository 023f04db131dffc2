"""Curves that a page shows beside a metric's own results: of the ROC and of precision against recall."""

from __future__ import annotations

from typing import Any

import numpy as np

from runners.context import MetricContext
from runners.metrics.performance.precision_recall import curve

_POINTS = 60


def more_of(name: str, ctx: MetricContext) -> dict[str, Any]:
    """`{"roc": …}` or `{"pr": …}` for metrics that are about such a curve, of tasks of two classes."""
    if ctx.probabilities is None or ctx.task.kind != "binary":
        return {}
    scores = ctx.probabilities[:, ctx.task.positive_index]
    positive = ctx.labels == ctx.task.positive_index
    if name in ("performance.roc_auc", "performance.tpr_at_fpr"):
        return {"roc": _thinned(*_roc(scores, positive))}
    if name in ("performance.average_precision", "performance.pr_auc"):
        precision, recall = curve(scores, positive)
        return {"pr": _thinned(recall, precision)}
    return {}


def _roc(scores: Any, positive: Any) -> tuple[Any, Any]:
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], positive[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits, wrong = np.cumsum(truth)[ends], np.cumsum(~truth)[ends]
    return np.r_[0.0, wrong / wrong[-1]], np.r_[0.0, hits / hits[-1]]


def _thinned(x: Any, y: Any) -> list[list[float]]:
    """At most so many points of a curve, about evenly along x."""
    wanted = np.searchsorted(x, np.linspace(0.0, 1.0, _POINTS))
    keep = np.unique(np.r_[0, np.minimum(wanted, len(x) - 1), len(x) - 1])
    return [[float(f"{a:.4g}"), float(f"{b:.4g}")] for a, b in zip(x[keep], y[keep], strict=True)]
