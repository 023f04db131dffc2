"""Average precision."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.performance.precision_recall import area, average_precision_of
from runners.registry import MetricValue, metric
from runners.statistics.wording import AREA_INTERVAL


@metric(
    "performance.average_precision",
    title="Average precision",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("probabilities",),
    reference="Step-wise area under precision and recall; interval: logit (Boyd, Eng and Page, ECML 2013)",
    formula="AP = Σₖ (Rₖ − Rₖ₋₁) · Pₖ over the distinct scores from the largest down\n"
    "several classes: mean over classes of one against the rest",
    interval=AREA_INTERVAL,
    limits="A score that says nothing gets the share of the class (`details.chance`), so splits of different shares "
    "cannot be compared.",
)
def average_precision(ctx: MetricContext) -> MetricValue:
    """Precision averaged over recall, in steps, without interpolation; several classes: mean of one against the rest.

    A score that says nothing has the share of the class, which `details.chance` tells. Undefined where a class has no
    items.
    """
    return area(ctx, average_precision_of)
