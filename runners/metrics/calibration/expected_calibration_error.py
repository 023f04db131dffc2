"""Expected calibration error."""

from __future__ import annotations

from pydantic import JsonValue

from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.metrics.calibration.reliability import (
    About,
    Bins,
    Scheme,
    chance_of,
    diagram,
    expected_error,
    reliability,
)
from runners.registry import MetricValue, metric, undefined
from runners.statistics.wording import CHANCE_INTERVAL


@metric(
    "calibration.expected_calibration_error",
    title="Expected calibration error",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "probabilities"),
    reference="Naeini et al., AAAI 2015; Guo et al., ICML 2017; interval: bootstrap, bias taken off",
    formula="ECE = Σ_b (n_b / n) · |mean probability stated in bin b − share that was right in bin b|",
    interval=CHANCE_INTERVAL,
    limits="Noise can only make it larger, the more so the more bins there are for few items: read `details.chance` "
    "and `details.debiased`. Errors of opposite sign within a bin cancel. `about: confidence` looks at the named "
    "class alone. A submission that always states the base rate is calibrated and useless.",
)
def expected_calibration_error(
    ctx: MetricContext, *, bins: Bins = 15, scheme: Scheme = "equal_width", about: About = "confidence"
) -> MetricValue:
    """Mean over items of |probability stated - share that was right| within `bins` bins of the probability stated.

    `about: confidence` looks at the probability of the answer, `positive` at that of the positive class (two classes).
    `details.diagram` is the reliability diagram. Chance alone makes the error larger than zero, the more so the more
    bins there are for few items: `details.chance` is what a perfectly calibrated submission would be seen to have, and
    `details.debiased` the error less what resampling says that chance added.
    """
    if about == "positive" and ctx.task.kind != "binary":
        raise ScorerFault(
            "A task of more than two classes has no positive class.", hint="Set `about: confidence`, or leave it out."
        )
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    found = reliability(ctx, bins=bins, scheme=scheme, about=about)
    value = float(expected_error(found.sums(found.right - found.stated), found.counts))
    chance = chance_of(found, value, ctx, expected_error, rng=ctx.rng("calibration.expected_calibration_error"))
    details: dict[str, JsonValue] = {
        "bins": bins, "bins_with_items": int((found.counts > 0).sum()), "scheme": scheme, "about": about,
        "mean_stated": float(found.stated.mean()), "share_right": float(found.right.mean()),
        "debiased": chance.debiased(value), "chance": chance.alone, "diagram": diagram(found),
    }  # fmt: skip
    return MetricValue(value, low=chance.low, high=chance.high, n=ctx.n, details=details)
