"""Was what had to be forgotten forgotten, and the rest kept?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from runners.context import IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.performance.counts import answers
from runners.metrics.performance.shares import share_interval
from runners.metrics.privacy.groups import rows_of
from runners.metrics.privacy.operating import Attack, area, tpr_at
from runners.metrics.privacy.scores import confidence
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined

COLUMNS = (
    Column("", title="Forgotten told from unseen (2 AUC - 1)"),
    Column("tpr_at_fpr_1", title="Forgotten items found (TPR at 1 % FPR)", direction="minimise", range=(0.0, 1.0)),
    Column("forget_accuracy", title="Accuracy on what was to be forgotten", direction="none", range=(0.0, 1.0)),
    Column("retain_accuracy", title="Accuracy on what was to be kept", direction="maximise", range=(0.0, 1.0)),
    Column("unseen_accuracy", title="Accuracy on unseen items", direction="maximise", range=(0.0, 1.0)),
    Column("agreement", title="Agreement with the retrained model", direction="maximise", range=(0.0, 1.0)),
)


@metric(
    "privacy.unlearning",
    title="Unlearning",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes"),
    results=COLUMNS,
    reference="Efficacy and fidelity: Warnecke et al. 2023; a membership attack on the forgotten: Jia et al. 2023",
    formula="efficacy = 2 AUC − 1 of telling forgotten from unseen items by their loss\n"
    "fidelity = accuracies of each group, and agreement with a retrained model",
    interval="That of the AUC (DeLong on the logit scale), doubled; TPR: Clopper-Pearson; shares: Wilson, over "
    "clusters a bootstrap.",
    limits="Above 0 forgotten items are still known; below 0 the model is less sure of them than of items it never "
    "saw, which gives them away as well. 0 under this attack is no proof of forgetting. What the unlearning cost in "
    "time or rounds is not seen.",
)
def unlearning(
    ctx: MetricContext,
    *,
    attribute: str = "unlearning",
    forget: str = "forget",
    retain: str = "retain",
    unseen: str = "unseen",
    reference: str | None = None,
) -> MetricReturn:
    """How far the forgotten items still differ from items that were never seen, and what the others cost.

    `attribute` says which item is which; its values are `forget`, `retain` and `unseen`. Efficacy: 2 AUC - 1 of an
    attacker who tells forgotten from unseen items by the loss. 0 is forgotten; above 0 the items are still known,
    below 0 the model is less sure of them than of unseen ones, which gives them away as well: `tpr_at_fpr_1` is that
    of an attacker who looks for losses far from the unseen items' median, on either side. Fidelity: the accuracies,
    and the share of all three groups' items answered as a model retrained without the forgotten ones answers them,
    whose class `reference` names as an attribute (`details` have it by group). What the unlearning cost is not seen.
    """
    names = (forget, retain, unseen)
    if len(set(names)) < 3:
        raise ScorerFault("`forget`, `retain` and `unseen` must be three different values.")
    rows = rows_of(ctx, attribute, names)
    if isinstance(rows, MetricValue):
        return {column.key: rows for column in COLUMNS}
    gone, kept, other = rows
    return {
        **_told_apart(ctx, gone, other),
        "forget_accuracy": _accuracy(ctx, gone, "forget"),
        "retain_accuracy": _accuracy(ctx, kept, "retain"),
        "unseen_accuracy": _accuracy(ctx, other, "unseen"),
        "agreement": _agreement(ctx, rows, reference),
    }


def _told_apart(ctx: MetricContext, gone: IntArray, other: IntArray) -> dict[str, MetricValue]:
    if ctx.probabilities is None:
        absent = undefined(ctx.missing(("probabilities",)), state="not_applicable")
        return {"": absent, "tpr_at_fpr_1": absent}
    rows = np.concatenate([gone, other])
    scores = confidence(ctx.probabilities[rows], ctx.labels[rows])
    clusters = None if ctx.clusters is None else ctx.clusters[rows]
    attack = Attack(scores, np.arange(rows.size) < gone.size, clusters)
    auc, (low, high) = area(attack)
    details: dict[str, JsonValue] = {
        "auc": auc, "forgotten": int(gone.size), "unseen": int(other.size),
        "median_log_odds_forgotten": float(np.median(scores[: gone.size])),
        "median_log_odds_unseen": float(np.median(scores[gone.size :])),
    }  # fmt: skip
    value = MetricValue(
        2 * auc - 1, low=None if low is None else 2 * low - 1, high=None if high is None else 2 * high - 1,
        n=attack.n, details=details,
    )  # fmt: skip
    # An item of which the model is suspiciously unsure is found as surely as one that it still knows.
    odd = Attack(np.abs(scores - np.median(scores[gone.size :])), attack.member, clusters)
    return {"": value, "tpr_at_fpr_1": tpr_at(odd, 0.01, ctx.rng("privacy.unlearning.tpr"))}


def _accuracy(ctx: MetricContext, rows: IntArray, group: str) -> MetricValue:
    return _share(ctx, answers(ctx)[rows] == ctx.labels[rows], rows, f"privacy.unlearning.{group}")


def _agreement(ctx: MetricContext, groups: tuple[IntArray, ...], reference: str | None) -> MetricValue:
    if reference is None:
        return undefined("`reference` names no attribute with a retrained model's classes", state="not_applicable")
    found = attribute_values(ctx, reference)
    if found is None:
        return undefined(f"the data split has no attribute {reference}", state="not_applicable")
    rows = np.sort(np.concatenate(groups))
    said = found[1][rows]
    known = np.array([value is not None for value in said], dtype=bool)
    index = {name: k for k, name in enumerate(ctx.task.classes)}
    strange = sorted({str(value) for value in said[known]} - index.keys())
    if strange:
        raise ScorerFault(
            f"The attribute {reference!r} holds {strange[0]!r}, which is no class.",
            hint=f"The classes are {', '.join(ctx.task.classes)}.",
        )
    if not known.any():
        return undefined("the retrained model's class is unknown for every item", n=0)
    classes = np.array([index[str(value)] for value in said[known]], dtype=np.int64)
    rows = rows[known]
    same = answers(ctx)[rows] == classes
    details: dict[str, JsonValue] = {}
    for name, group in zip(("forget", "retain", "unseen"), groups, strict=True):
        mine = same[np.isin(rows, group)]
        details[name] = float(mine.mean()) if mine.size else None
    return replace(_share(ctx, same, rows, "privacy.unlearning.agreement"), details=details)


def _share(ctx: MetricContext, hits: np.ndarray, rows: IntArray, purpose: str) -> MetricValue:
    clusters = None if ctx.clusters is None else ctx.clusters[rows]
    low, high = share_interval(hits, clusters, rng=ctx.rng(purpose))
    return MetricValue(float(hits.mean()), low=low, high=high, n=int(hits.size))
