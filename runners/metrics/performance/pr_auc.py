"""Area under the precision-recall curve."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.performance.precision_recall import area, trapezoid_of
from runners.registry import MetricValue, metric
from runners.statistics.wording import AREA_INTERVAL


@metric(
    "performance.pr_auc",
    title="PR AUC (trapezoids)",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("probabilities",),
    reference="Trapezoids; too high between distant points (Davis and Goadrich, ICML 2006); interval: Boyd et al. 2013",
    formula="area under straight lines between the points (Rₖ, Pₖ), from (0, 1) on\n"
    "several classes: mean over classes of one against the rest",
    interval=AREA_INTERVAL,
    limits="Straight lines between distant points lie above what any threshold reaches (Davis and Goadrich 2006): "
    "prefer `performance.average_precision` unless numbers published this way are to be met. Chance is the share of "
    "the class.",
)
def pr_auc(ctx: MetricContext) -> MetricValue:
    """Area under straight lines between the points of the precision-recall curve; several classes: mean over them.

    Straight lines flatter a curve of few points: prefer `performance.average_precision` unless numbers published this
    way are to be compared. Undefined where a class has no items.
    """
    return area(ctx, trapezoid_of)
