"""Metrics on who is selected: statistical parity difference, disparate impact, and both without a side."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.fairness.evaluation import Engine, evaluate
from runners.metrics.fairness.formulae import Folded, difference, ratio
from runners.metrics.fairness.wording import COMPARED_INTERVAL, FOLDED_INTERVAL
from runners.registry import MetricReturn, metric


@metric(
    "fairness.statistical_parity_difference",
    title="Statistical parity difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Dwork et al. 2012; sign as in AIF360 (Bellamy et al. 2019)",
    formula="SPD = P(selected | unprivileged) − P(selected | privileged)",
    interval=COMPARED_INTERVAL,
    limits="It asks for equal shares whatever the true outcomes: where base rates differ, a perfect submission has "
    "a difference, and parity may be had by selecting the wrong people. All unprivileged values are pooled; "
    "`details.groups` has each.",
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
    formula="DI = P(selected | unprivileged) / P(selected | privileged)",
    interval=COMPARED_INTERVAL,
    limits="A ratio of small shares jumps: read the shares in `details`. It is undefined where no privileged item "
    "is selected, and its distance from 1 is not the same on both sides (0.5 and 2 are equally far). The "
    "four-fifths rule is a rule of thumb, no test.",
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
    formula="|P(selected | unprivileged) − P(selected | privileged)|",
    interval=FOLDED_INTERVAL,
    limits="It does not say which side gains, and noise can only make it larger. With more than two groups "
    "fairlearn takes the worst pair: that is `fairness.intersectional_gap`.",
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
    formula="min(r, 1/r),  r = P(selected | unprivileged) / P(selected | privileged)",
    interval=FOLDED_INTERVAL,
    limits="It does not say which side gains, and noise can only make it smaller. Where one side is never selected "
    "it is 0 however few the others are.",
)
def demographic_parity_ratio(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """The lower of the two selection rates over the higher: 1 is parity, 0 that one side is never selected.

    Undefined where nobody is selected on either side.
    """
    return evaluate(ctx, attribute, Folded((ratio("selection_rate"),), min, of_ratios=True), purpose="dpr")
