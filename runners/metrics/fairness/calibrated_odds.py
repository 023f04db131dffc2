"""Calibrated equalised odds: a share of the better-off side is answered with its base rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import JsonValue

from runners.context import MetricContext
from runners.metrics.fairness.groups import Quartet
from runners.metrics.fairness.mitigation import COLUMNS, Fitted, FloatArray, Rule, absent, prepared, report
from runners.metrics.fairness.wording import MITIGATED_INTERVAL, MITIGATED_LIMITS
from runners.registry import MetricReturn, MetricValue, metric, undefined

Cost = Literal["fnr", "fpr", "weighted"]
#: From this score on an item is given the favourable outcome, as in AIF360.
_THRESHOLD = 0.5


@dataclass(frozen=True)
class Mix:
    """Share of each side that gets its base rate as score, both (2,): unprivileged, privileged.

    `asked` is what equal cost would ask for; above 1 it cannot be had, and the rate is 1.
    """

    rates: FloatArray
    asked: FloatArray
    base: FloatArray
    costs: FloatArray


def fit(items: Fitted, cost: Cost) -> Mix | None:
    """The mix that gives both sides the same generalised cost; None where a side lacks one of the outcomes."""
    if items.scores is None:
        raise RuntimeError("calibrated odds need scores")
    base, own, trivial = np.empty(2), np.empty(2), np.empty(2)
    for side in (0, 1):
        y, scores = items.y[items.side == side], items.scores[items.side == side]
        if y.all() or not y.any():
            return None
        base[side] = y.mean()
        own[side] = _cost(cost, float(scores[~y].mean()), float(1 - scores[y].mean()), base[side])
        trivial[side] = _cost(cost, base[side], 1 - base[side], base[side])
    asked = np.zeros(2)
    cheaper = 1 if own[0] > own[1] else 0
    gap, room = own[1 - cheaper] - own[cheaper], trivial[cheaper] - own[cheaper]
    # Where answering with the base rate costs no more than the model does, no mix raises the cost.
    asked[cheaper] = 0.0 if gap == 0 else gap / room if room > 0 else np.inf
    return Mix(np.minimum(asked, 1.0), asked, base, own)


def _cost(cost: Cost, fpr: float, fnr: float, base: float) -> float:
    if cost == "weighted":
        return 0.5 * fpr * (1 - base) + 0.5 * fnr * base
    return fpr if cost == "fpr" else fnr


@metric(
    "fairness.calibrated_equalized_odds",
    title="After calibrated equalised odds",
    direction="zero",
    range=(None, None),
    needs=("probabilities", "predictions", "attributes", "favourable", "validation"),
    results=COLUMNS,
    reference="Pleiss et al., NeurIPS 2017; as in AIF360, mixing rates held to at most 1, expectation over the mixing",
    formula="a share s of the side of lower cost gets its base rate as score: s = (cost of the other − its own) / "
    "(cost of its base rate − its own)\n"
    "cost = generalised FNR, FPR, or their weighted mean on the validation split; scores from 0.5 on are favourable",
    interval=MITIGATED_INTERVAL,
    limits=MITIGATED_LIMITS,
)
def calibrated_equalized_odds(
    ctx: MetricContext, *, attribute: str, cost: Cost = "weighted", objective: Quartet = "aod"
) -> MetricReturn:
    """A fairness metric after a share of one side got its base rate as score, with what that cost and made worse.

    The share is fitted on the validation split so that both sides have the same generalised false
    negative rate, false positive rate, or weighted mean of both. Scores from 0.5 on are favourable.
    """
    found = prepared(ctx, attribute)
    if isinstance(found, MetricValue):
        return absent(attribute, found)
    fitting, applied = found
    if fitting.scores is None or applied.scores is None:
        return absent(attribute, undefined("the validation split has no probabilities", state="not_applicable"))
    mix = fit(fitting, cost)
    if mix is None:
        reason = "a side lacks one of the two outcomes on the validation split"
        return absent(attribute, undefined(reason, n=fitting.y.size))
    chance = np.array([[0.0, 1.0]] * 3)
    chance[:2] = (1 - mix.rates[:, None]) * chance[:2] + (mix.rates * (mix.base >= _THRESHOLD))[:, None]
    told: dict[str, JsonValue] = {
        "cost": cost,
        "mix_unprivileged": float(mix.rates[0]),
        "mix_privileged": float(mix.rates[1]),
        "satisfied": bool((mix.asked <= 1).all()),
        "validation": {"costs": mix.costs.tolist(), "base_rates": mix.base.tolist(), "n": fitting.y.size},
    }
    return report(ctx, attribute, applied, Rule(applied.scores >= _THRESHOLD, chance), objective, told)
