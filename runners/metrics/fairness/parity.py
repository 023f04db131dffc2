"""Metrics on who is selected: statistical parity difference, disparate impact, and both without a side."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.fairness.evaluation import Engine, evaluate
from runners.metrics.fairness.formulae import Folded, difference, ratio
from runners.registry import MetricReturn, metric


@metric(
    "fairness.statistical_parity_difference",
    title="Statistical parity difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Dwork et al. 2012; sign as in AIF360 (Bellamy et al. 2019)",
)
def statistical_parity_difference(ctx: MetricContext, *, attribute: str, engine: Engine = "native") -> MetricReturn:
    """P(favourable | unprivileged) - P(favourable | privileged): 0 is parity, below 0 the privileged gain."""
    return evaluate(ctx, attribute, difference("selection_rate"), purpose="spd", engine=engine)


@metric(
    "fairness.disparate_impact",
    title="Disparate impact",
    direction="one",
    range=(0.0, None),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Feldman et al. 2015; the four-fifths rule asks for 0.8 to 1.25; as in AIF360",
)
def disparate_impact(ctx: MetricContext, *, attribute: str, engine: Engine = "native") -> MetricReturn:
    """P(favourable | unprivileged) / P(favourable | privileged): 1 is parity.

    Undefined where no privileged item is selected.
    """
    return evaluate(ctx, attribute, ratio("selection_rate"), purpose="di", engine=engine)


@metric(
    "fairness.demographic_parity_difference",
    title="Demographic parity difference",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Agarwal et al. 2018; as in fairlearn for two groups",
)
def demographic_parity_difference(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """Distance of the two selection rates, whichever is higher: 0 is parity, 1 the farthest from it.

    Of two sides; `fairness.intersectional_gap` has the worst pair of many groups.
    """
    return evaluate(ctx, attribute, Folded((difference("selection_rate"),), max), purpose="dpd")


@metric(
    "fairness.demographic_parity_ratio",
    title="Demographic parity ratio",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Feldman et al. 2015; as in fairlearn for two groups",
)
def demographic_parity_ratio(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """The lower of the two selection rates over the higher: 1 is parity, 0 that one side is never selected.

    Undefined where nobody is selected on either side.
    """
    return evaluate(ctx, attribute, Folded((ratio("selection_rate"),), min, of_ratios=True), purpose="dpr")
