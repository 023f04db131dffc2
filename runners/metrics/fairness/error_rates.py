"""False positive and false negative rate of each group."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from runners.context import MetricContext
from runners.metrics.fairness.groups import attribute_values, rates_json
from runners.metrics.fairness.table import count
from runners.metrics.performance.counts import answers
from runners.metrics.performance.shares import share_interval
from runners.registry import MetricReturn, MetricValue, metric, undefined

_REFERENCE = "Angwin et al., ProPublica 2016 (COMPAS); Chouldechova 2017; interval: Wilson, over clusters a bootstrap"


def _by_group(ctx: MetricContext, attribute: str, rate: Literal["fpr", "fnr"]) -> MetricReturn:
    """The rate of each value of the attribute, about the positive class."""
    found = attribute_values(ctx, attribute)
    if found is None:
        return {f"[{attribute}]": undefined("the data split has no such attribute", state="not_applicable")}
    spec, values = found
    positive = ctx.task.positive_index
    y, yhat = ctx.labels == positive, answers(ctx) == positive
    table = count(values, y, yhat)
    if not table.groups:
        return {f"[{attribute}]": undefined(f"no item has a known {attribute}", n=0)}
    out: dict[str, MetricValue] = {}
    for group, cells in zip(table.groups, table.counts, strict=True):
        # The items the rate is a share of: true negatives for FPR, true positives for FNR.
        base = (values == group) & (y if rate == "fnr" else ~y)
        size = int(cells.sum())
        if size < spec.minimum:
            reason = f"{group} has {size} items of the {spec.minimum} that {attribute} asks for"
            value = undefined(reason, n=size, state="too_few")
        elif not base.any():
            value = undefined(f"no item of {group} is {'positive' if rate == 'fnr' else 'negative'}", n=0)
        else:
            value = _share(ctx, base, yhat != y, f"fairness.{rate}.{attribute}.{group}")
        value.details.update(
            positive=ctx.task.classes[positive], group=group, counts=cells.tolist(), unknown=table.unknown,
            **rates_json(cells),
        )  # fmt: skip
        out[f"[{attribute}={group}]"] = value
    return out


def _share(ctx: MetricContext, base: npt.NDArray[np.bool_], wrong: npt.NDArray[np.bool_], purpose: str) -> MetricValue:
    """Share of wrong answers among the items of `base`."""
    hits = wrong[base]
    clusters = None if ctx.clusters is None else ctx.clusters[base]
    low, high = share_interval(hits, clusters, rng=ctx.rng(purpose))
    return MetricValue(float(hits.mean()), low=low, high=high, n=int(base.sum()))


@metric(
    "fairness.false_positive_rate",
    title="False positive rate by group",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "binary"),
    results=("[attribute=group]",),
    reference=_REFERENCE,
)
def false_positive_rate(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """Share of a group's negative items that are called positive, for each value of the attribute."""
    return _by_group(ctx, attribute, "fpr")


@metric(
    "fairness.false_negative_rate",
    title="False negative rate by group",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "binary"),
    results=("[attribute=group]",),
    reference=_REFERENCE,
)
def false_negative_rate(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """Share of a group's positive items that are called negative, for each value of the attribute."""
    return _by_group(ctx, attribute, "fnr")
