"""Can one tell whether an item was among the training data?"""

from __future__ import annotations

import numpy as np
from pydantic import JsonValue

from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.metrics.performance.counts import distribution
from runners.metrics.privacy.groups import rows_of
from runners.metrics.privacy.operating import Attack, advantage, area, curve, tpr_at
from runners.metrics.privacy.scores import Method, confidence, membership_scores
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined

COLUMNS = (
    Column("", title="Membership inference (AUC)"),
    Column("tpr_at_fpr_1", title="Membership inference (TPR at 1 % FPR)"),
    Column("tpr_at_fpr_0_1", title="Membership inference (TPR at 0.1 % FPR)"),
    Column("advantage", title="Membership advantage (TPR - FPR)", range=(-1.0, 1.0)),
)


@metric(
    "privacy.membership_inference",
    title="Membership inference",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("probabilities", "attributes"),
    results=COLUMNS,
    reference="Yeom et al. 2018 (loss threshold); Ye et al. 2022 (population); Carlini et al. 2022 (offline LiRA, "
    "TPR at low FPR)",
    formula="AUC = P(score of a member > score of a non-member) + ½ P(equal)\n"
    "advantage = TPR − FPR at a threshold found on the other half of the items",
    interval="AUC: DeLong on the logit scale, summed in clusters; TPRs: Clopper-Pearson at the threshold found; "
    "advantage: MOVER. Over clusters a bootstrap.",
    limits="A lower bound: a stronger attack may find more. A low AUC may hide a few members that are surely found: "
    "rank by the TPR at low FPR where there are items enough (100 and 1000 non-members). Members and non-members "
    "must come from one distribution, else the attack tells the distributions apart.",
)
def membership_inference(
    ctx: MetricContext,
    *,
    attribute: str = "member",
    member: str = "yes",
    non_member: str = "no",
    method: Method = "loss",
    reference: tuple[str, str] | None = None,
) -> MetricReturn:
    """How well an attacker tells items the model was trained on from items it was not.

    `attribute` says which is which: `member` and `non_member` are its values; other items are left out. The attacker
    sees the answers and the true labels. The AUC is 0.5 where nothing leaks and 1 where everything does. Averages hide
    the few that are surely found, so the shares of members found while at most 1 % and 0.1 % of the non-members are
    wrongly accused stand beside it; they need 100 and 1000 non-members.

    `method`: `loss` thresholds the cross-entropy; `population` measures it in standard deviations from the validation
    items of the class; `lira` from what models trained without the item say: `reference` names two attributes with the
    mean and the standard deviation of their log odds of the true class.
    """
    if member == non_member:
        raise ScorerFault("`member` and `non_member` are the same value.")
    rows = rows_of(ctx, attribute, (member, non_member))
    if isinstance(rows, MetricValue):
        return {column.key: rows for column in COLUMNS}
    scores = membership_scores(ctx, method, reference)
    if isinstance(scores, str):
        return {column.key: undefined(scores, state="not_applicable") for column in COLUMNS}
    chosen = np.sort(np.concatenate(rows))
    known = chosen[np.isfinite(scores[chosen])]
    inside = np.isin(known, rows[0])
    if len(np.unique(inside)) < 2:
        return {column.key: undefined("no member or no non-member has a reference", n=known.size) for column in COLUMNS}
    attack = Attack(scores[known], inside, None if ctx.clusters is None else ctx.clusters[known])
    ctx.progress(f"membership inference: {attack.n} items", 0.5)
    auc, (low, high) = area(attack)
    details = _details(ctx, rows[0], rows[1], method) | {"left_out": ctx.n - attack.n, "curve": curve(attack)}
    return {
        "": MetricValue(auc, low=low, high=high, n=attack.n, details=details),
        "tpr_at_fpr_1": tpr_at(attack, 0.01, ctx.rng("privacy.tpr_at_fpr_1")),
        "tpr_at_fpr_0_1": tpr_at(attack, 0.001, ctx.rng("privacy.tpr_at_fpr_0_1")),
        "advantage": advantage(attack, ctx.rng("privacy.advantage")),
    }


def _details(ctx: MetricContext, members: np.ndarray, others: np.ndarray, method: Method) -> dict[str, JsonValue]:
    """What an attacker who sees classes only would use, beside the numbers of items."""
    answers = distribution(ctx)
    right = answers.argmax(axis=1) == ctx.labels
    sure = confidence(answers, ctx.labels)
    return {
        "method": method,
        "members": int(members.size), "non_members": int(others.size),
        "accuracy_members": float(right[members].mean()), "accuracy_non_members": float(right[others].mean()),
        "gap_advantage": float(right[members].mean() - right[others].mean()),
        "median_log_odds_members": float(np.median(sure[members])),
        "median_log_odds_non_members": float(np.median(sure[others])),
    }  # fmt: skip
