"""The least epsilon of differential privacy that a membership attack leaves possible."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, JsonValue

from runners.context import IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.privacy import audit
from runners.metrics.privacy.groups import halves, rows_of
from runners.metrics.privacy.operating import Attack
from runners.metrics.privacy.scores import Method, membership_scores
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined

COLUMNS = (
    Column("", title="Privacy loss refuted (epsilon, from TPR and FPR)"),
    Column("one_run", title="Privacy loss refuted (epsilon, one training run)"),
)


@metric(
    "privacy.dp_epsilon_lower_bound",
    title="Lower bound of epsilon",
    direction="minimise",
    range=(0.0, None),
    needs=("probabilities", "attributes"),
    results=COLUMNS,
    reference="Jagielski et al. 2020 and Nasr et al. 2021 (Clopper-Pearson); Steinke et al. 2023 (one run)",
    formula="ε ≥ max(ln((TPR − δ) / FPR), ln((TNR − δ) / FNR)), each rate replaced by its Clopper-Pearson bound\n"
    "one_run: the largest ε that the right guesses refute (Steinke et al. 2023)",
    interval="None: the value is itself the lower end of one, with `confidence`.",
    limits="0 means that nothing was refuted, never that a training is private. "
    "`details.largest_that_could_be_shown` is what a perfect attack would show with so many items. From one model "
    "it takes items for independent training runs, which `one_run` does not; that one needs members drawn by a fair "
    "coin.",
)
def dp_epsilon_lower_bound(
    ctx: MetricContext,
    *,
    attribute: str = "member",
    member: str = "yes",
    non_member: str = "no",
    method: Method = "loss",
    reference: tuple[str, str] | None = None,
    delta: Annotated[float, Field(ge=0, lt=1)] = 1e-5,
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    claimed: Annotated[float, Field(ge=0)] | None = None,
) -> MetricReturn:
    """Training was not (eps, delta)-private for any smaller eps, with this confidence.

    The value is itself the lower end: it has no interval. 0 means that nothing was refuted, not that the training is
    private. The threshold is chosen on one half of the items and judged on the other. `one_run` holds for items of
    one training run, each a member by a fair coin of its own; the value itself takes items for independent runs,
    as audits by rates do. `details.claim_refuted` compares with `claimed`. Other parameters are those of
    `privacy.membership_inference`.
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
    attack = Attack(scores[known], np.isin(known, rows[0]), None if ctx.clusters is None else ctx.clusters[known])
    if attack.codes is not None:
        reason = "items share clusters: the bounds count each item as a draw of its own"
        return {column.key: undefined(reason, n=attack.n) for column in COLUMNS}
    first = halves(attack.member, None, ctx.rng("privacy.dp_epsilon_lower_bound"))
    if any(len(np.unique(attack.member[part])) < 2 for part in (first, ~first)):
        return {column.key: undefined("fewer than two members or non-members", n=attack.n) for column in COLUMNS}
    error = 1 - confidence
    order = ctx.rng("privacy.dp_epsilon_lower_bound.ties").permutation(attack.n)
    return {
        "": _rates(attack, first, delta, error, claimed),
        "one_run": _one_run(_shuffled(attack, order), delta, error, claimed),
    }


def _shuffled(attack: Attack, order: IntArray) -> Attack:
    """The items in another order: guesses about equal scores follow it, and the split's own may tell who is one."""
    return Attack(attack.scores[order], attack.member[order])


def _rates(attack: Attack, first: np.ndarray, delta: float, error: float, claimed: float | None) -> MetricValue:
    test = audit.best_test(attack.scores[first], attack.member[first], delta=delta, error=error)
    scores, member = attack.scores[~first], attack.member[~first]
    called = scores > test.value
    hits, wrong = int((called & member).sum()), int((called & ~member).sum())
    members, others = int(member.sum()), int((~member).sum())
    bound = float(audit.rates_bound(hits, members, wrong, others, delta=delta, error=error))
    most = float(audit.rates_bound(members, members, 0, others, delta=delta, error=error))
    details: dict[str, JsonValue] = {
        "true_positives": hits, "members": members, "false_positives": wrong, "non_members": others,
        "largest_that_could_be_shown": most, **_claim(bound, delta, error, claimed),
    }  # fmt: skip
    return MetricValue(bound, n=members + others, details=details)


def _one_run(attack: Attack, delta: float, error: float, claimed: float | None) -> MetricValue:
    # Halves whatever their members: with as many members in each, coins would tell of one another.
    first = np.arange(attack.n) < attack.n // 2
    scores, member = attack.scores[~first], attack.member[~first]
    if not audit.fair_coin(int(attack.member.sum()), attack.n):
        reason = (
            f"{int(attack.member.sum())} of {attack.n} items are members: they were not drawn by a fair coin, which "
            "the bound for one training run rests on"
        )
        return undefined(reason, n=attack.n)
    share = audit.best_share(attack.scores[first], attack.member[first], delta=delta, error=error)
    guesses = int(share * scores.size)
    right = audit.right_guesses(scores, member, guesses)
    bound = audit.one_run_bound(scores.size, guesses, right, delta=delta, error=error)
    most = audit.one_run_bound(scores.size, scores.size, scores.size, delta=delta, error=error)
    details: dict[str, JsonValue] = {
        "guesses": guesses, "right": right, "members": int(member.sum()), "largest_that_could_be_shown": most,
        **_claim(bound, delta, error, claimed),
    }  # fmt: skip
    return MetricValue(bound, n=int(scores.size), details=details)


def _claim(bound: float, delta: float, error: float, claimed: float | None) -> dict[str, JsonValue]:
    refuted: JsonValue = None if claimed is None else bound > claimed
    return {"delta": delta, "confidence": 1 - error, "claimed": claimed, "claim_refuted": refuted}
