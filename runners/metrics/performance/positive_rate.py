"""How often the positive class is the answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.context import MetricContext
from runners.metrics.performance.accuracy import share_right
from runners.metrics.performance.shares import share_interval
from runners.metrics.performance.threshold import Threshold, decide
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined
from runners.statistics.wording import SHARE_INTERVAL


@metric(
    "performance.positive_rate",
    title="Predicted-positive rate",
    direction="none",
    range=(0.0, 1.0),
    needs=("predictions", "binary"),
    results=("", Column("one_class", title="Answers one class only", direction="minimise")),
    reference="Share of items said to be positive; interval: Wilson, over clusters a percentile bootstrap",
    formula="positive rate = items said to be positive / n",
    interval=SHARE_INTERVAL,
    limits="Neither high nor low is better: read it beside `details.base_rate`. It shows a submission that gives "
    "one answer to all (`one_class`), which accuracy hides where a class is large.",
)
def positive_rate(ctx: MetricContext, *, threshold: Threshold = None) -> MetricReturn:
    """Share of items said to be of the positive class; beside it the share that is, in `details.base_rate`.

    `one_class` is 1 where every item gets the same class: the submission then tells nothing, however accurate it
    looks. `threshold` is a number, or `tuned` for the best accuracy on the validation split.
    """
    if ctx.n == 0:
        return {key: undefined("the split has no items", n=0) for key in ("", "one_class")}
    found = decide(ctx, threshold, share_right)
    if isinstance(found, MetricValue):
        return {"": found, "one_class": found}
    positive: npt.NDArray[np.bool_] = found.predictions == ctx.task.positive_index
    share, base = float(positive.mean()), float((ctx.labels == ctx.task.positive_index).mean())
    low, high = share_interval(positive, ctx.clusters, rng=ctx.rng("performance.positive_rate"))
    one = share in (0.0, 1.0)
    details = found.details | {"base_rate": base, "one_class": one}
    return {
        "": MetricValue(share, low=low, high=high, n=ctx.n, details=details),
        "one_class": MetricValue(float(one), n=ctx.n),
    }
