"""Equalised odds postprocessing: decisions are turned with chances that make TPR and FPR equal."""

from __future__ import annotations

import numpy as np
from pydantic import JsonValue

from runners.context import MetricContext
from runners.metrics.fairness.groups import Quartet
from runners.metrics.fairness.mitigation import COLUMNS, FloatArray, IntArray, Rule, absent, prepared, report
from runners.metrics.fairness.shares import SHARES
from runners.metrics.fairness.wording import MITIGATED_INTERVAL, MITIGATED_LIMITS
from runners.registry import MetricReturn, MetricValue, metric, undefined


def fit(counts: IntArray) -> FloatArray | None:
    """Chances `[side, decision]`, (2, 2), that a decision becomes favourable, of counts `[side, y, decision]`.

    The linear program of Hardt et al.: least FPR + FNR summed over the sides, TPR and FPR equal. None
    where a side lacks one of the two outcomes.
    """
    from scipy.optimize import linprog

    tpr, fpr = SHARES["true_positive_rate"].of(counts), SHARES["false_positive_rate"].of(counts)
    if np.isnan(tpr).any() or np.isnan(fpr).any():
        return None
    # Of the new rates of a side, the parts that a chance of decision 0 and of decision 1 contributes.
    good, bad = np.stack([1 - tpr, tpr], axis=-1), np.stack([1 - fpr, fpr], axis=-1)
    equal = np.array([[*good[0], *-good[1]], [*bad[0], *-bad[1]]])
    found = linprog((bad - good).ravel(), A_eq=equal, b_eq=[0.0, 0.0], bounds=(0, 1))
    # Never infeasible: chances of 0 make all rates equal.
    return np.asarray(np.clip(found.x.reshape(2, 2), 0, 1), dtype=np.float64)


@metric(
    "fairness.equalized_odds_postprocessing",
    title="After equalised odds postprocessing",
    direction="zero",
    range=(None, None),
    needs=("predictions", "attributes", "favourable", "validation"),
    results=COLUMNS,
    reference="Hardt, Price and Srebro 2016; linear program as in AIF360, expectation over the turned decisions",
    formula="P(favourable | side, decision) = the chances with the least FPR + FNR under which TPR and FPR of both "
    "sides are equal (linear program on the validation split)",
    interval=MITIGATED_INTERVAL,
    limits=MITIGATED_LIMITS,
)
def equalized_odds_postprocessing(ctx: MetricContext, *, attribute: str, objective: Quartet = "aod") -> MetricReturn:
    """A fairness metric after decisions were turned by chance, with what that cost and made worse.

    The chances are fitted on the validation split so that both sides have there the same TPR and FPR with
    the fewest errors. `details.changed` is the number of decisions that are expected to be turned.
    """
    found = prepared(ctx, attribute)
    if isinstance(found, MetricValue):
        return absent(attribute, found)
    fitting, applied = found
    chances = fit(fitting.table())
    if chances is None:
        reason = "a side lacks one of the two outcomes on the validation split"
        return absent(attribute, undefined(reason, n=fitting.y.size))
    told: dict[str, JsonValue] = {
        "chance_unprivileged": chances[0].tolist(),
        "chance_privileged": chances[1].tolist(),
        "validation": {"n": fitting.y.size},
    }
    rule = Rule(applied.predicted, np.vstack([chances, [[0.0, 1.0]]]))
    return report(ctx, attribute, applied, rule, objective, told)
