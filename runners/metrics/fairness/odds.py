"""Metrics on who is judged rightly: equal opportunity, average odds and equalised odds."""

from __future__ import annotations

from collections.abc import Sequence

from runners.context import MetricContext
from runners.metrics.fairness.evaluation import Engine, evaluate
from runners.metrics.fairness.formulae import COMBINED, Folded, difference, ratio
from runners.metrics.fairness.wording import COMPARED_INTERVAL, FOLDED_INTERVAL
from runners.registry import MetricReturn, metric

_DIFFERENCES = (difference("false_positive_rate"), difference("true_positive_rate"))
_RATIOS = (ratio("false_positive_rate"), ratio("true_positive_rate"))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@metric(
    "fairness.equal_opportunity_difference",
    title="Equal opportunity difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; sign as in AIF360",
    formula="EOD = TPR(unprivileged) − TPR(privileged)\n"
    "TPR = items rightly given the favourable outcome / items that deserve it",
    interval=COMPARED_INTERVAL,
    limits="Blind to those who do not deserve the outcome and get it: read `fairness.average_odds_difference`. It "
    'trusts the labels: where these are biased, so is it. About the favourable class; a published "TPR gap" is '
    "often about the positive one (`fairness.true_positive_rate_difference` with `about: positive`).",
)
def equal_opportunity_difference(ctx: MetricContext, *, attribute: str, engine: Engine = "native") -> MetricReturn:
    """TPR(unprivileged) - TPR(privileged), about the favourable class. Undefined where a group has no such item."""
    return evaluate(ctx, attribute, difference("true_positive_rate"), purpose="eod", engine=engine)


@metric(
    "fairness.average_odds_difference",
    title="Average odds difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; signed mean as in AIF360",
    formula="AOD = ½ [(FPR(unprivileged) − FPR(privileged)) + (TPR(unprivileged) − TPR(privileged))]",
    interval=COMPARED_INTERVAL,
    limits="Signed, so opposite errors cancel: 0 may hide two large differences. Read the rates in `details`, or "
    "`fairness.average_abs_odds_difference`.",
)
def average_odds_difference(ctx: MetricContext, *, attribute: str, engine: Engine = "native") -> MetricReturn:
    """Mean of the FPR and TPR differences, unprivileged - privileged. Opposite errors cancel: see the rates.

    Undefined where a group lacks one of the two outcomes.
    """
    return evaluate(ctx, attribute, COMBINED["average_odds_difference"], purpose="aod", engine=engine)


@metric(
    "fairness.average_abs_odds_difference",
    title="Average absolute odds difference",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; as in AIF360; interval: from those of the two differences",
    formula="½ [|FPR(unprivileged) − FPR(privileged)| + |TPR(unprivileged) − TPR(privileged)|]",
    interval=FOLDED_INTERVAL,
    limits="It does not say which side gains, and noise can only make it larger: equal odds are rarely seen as 0 in "
    "small groups.",
)
def average_abs_odds_difference(ctx: MetricContext, *, attribute: str, engine: Engine = "native") -> MetricReturn:
    """Mean of |FPR difference| and |TPR difference|: 0 is equality of odds. Opposite errors do not cancel.

    Undefined where a group lacks one of the two outcomes.
    """
    formula = Folded(_DIFFERENCES, _mean)
    return evaluate(ctx, attribute, formula, purpose="average_abs_odds_difference", engine=engine)


@metric(
    "fairness.equalized_odds_difference",
    title="Equalised odds difference",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; as in AIF360; interval: from those of the two differences",
    formula="max(|FPR(unprivileged) − FPR(privileged)|, |TPR(unprivileged) − TPR(privileged)|)",
    interval=FOLDED_INTERVAL,
    limits="The larger of two noisy distances: it is above 0 for a fair submission too. It does not say which side "
    "gains; the smaller of the two is in `details.parts`.",
)
def equalized_odds_difference(ctx: MetricContext, *, attribute: str, engine: Engine = "native") -> MetricReturn:
    """The greater of |FPR difference| and |TPR difference|: 0 is equality of odds.

    Undefined where a group lacks one of the two outcomes; fairlearn takes the missing rate as 0 there.
    """
    return evaluate(ctx, attribute, Folded(_DIFFERENCES, max), purpose="equalized_odds_difference", engine=engine)


@metric(
    "fairness.equalized_odds_ratio",
    title="Equalised odds ratio",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Hardt, Price and Srebro 2016; as in fairlearn for two groups; interval: from those of the two ratios",
    formula="min over FPR and TPR of min(r, 1/r),  r = rate of the unprivileged / rate of the privileged",
    interval=FOLDED_INTERVAL,
    limits="Small false positive rates rule it: 0.01 against 0.02 is 0.5. Undefined where a rate is 0 on both "
    "sides, though both are then equal.",
)
def equalized_odds_ratio(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """The worse of the two sides' FPR and TPR as lower over higher: 1 is equality of odds, 0 the farthest from it.

    Undefined where a group lacks one of the two outcomes, or where a rate is 0 on both sides.
    """
    return evaluate(ctx, attribute, Folded(_RATIOS, min, of_ratios=True), purpose="equalized_odds_ratio")
