"""Metrics on who is judged rightly: equal opportunity and average odds differences."""

from __future__ import annotations

from typing import Literal

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.engine import exact_value
from runners.metrics.fairness.groups import evaluate
from runners.registry import MetricReturn, metric
from runners.statistics.intervals import Interval, mover


def _eod_when_flat(counts: IntArray) -> Interval:
    u, p = counts[:, 1]
    return mover([1, -1], [int(u[1]), int(p[1])], [int(u.sum()), int(p.sum())])


def _aod_when_flat(counts: IntArray) -> Interval:
    rows = [counts[0, 0], counts[1, 0], counts[0, 1], counts[1, 1]]
    return mover([0.5, -0.5, 0.5, -0.5], [int(row[1]) for row in rows], [int(row.sum()) for row in rows])


@metric(
    "fairness.equal_opportunity_difference",
    title="Equal opportunity difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; sign as in AIF360",
)
def equal_opportunity_difference(
    ctx: MetricContext, *, attribute: str, engine: Literal["native", "aif360"] = "native"
) -> MetricReturn:
    """TPR(unprivileged) - TPR(privileged), about the favourable class. Undefined where a group has no such item."""
    exact = exact_value("eod", engine)
    return evaluate(ctx, attribute, "eod", exact=exact, when_flat=_eod_when_flat)


@metric(
    "fairness.average_odds_difference",
    title="Average odds difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; signed mean as in AIF360",
)
def average_odds_difference(
    ctx: MetricContext, *, attribute: str, engine: Literal["native", "aif360"] = "native"
) -> MetricReturn:
    """Mean of the FPR and TPR differences, unprivileged - privileged. Opposite errors cancel: see the rates.

    Undefined where a group lacks one of the two outcomes.
    """
    exact = exact_value("aod", engine)
    return evaluate(ctx, attribute, "aod", exact=exact, when_flat=_aod_when_flat)
