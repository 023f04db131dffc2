"""Membership inference with shadow models that the evaluator trains itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, JsonValue

from runners.context import FloatArray, IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.performance.counts import distribution
from runners.metrics.privacy.groups import Bools, rows_of
from runners.metrics.privacy.learner import narrow
from runners.metrics.privacy.network import HIDDEN, STEPS
from runners.metrics.privacy.operating import Attack, advantage, area, curve, tpr_at
from runners.metrics.privacy.scores import confidence
from runners.metrics.privacy.shadows import Said, ask_shadows, halves_of, on_the_scale
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes

COLUMNS = (
    Column("", title="Membership inference by shadow models (AUC)"),
    Column("tpr_at_fpr_1", title="Membership inference by shadow models (TPR at 1 % FPR)"),
    Column("tpr_at_fpr_0_1", title="Membership inference by shadow models (TPR at 0.1 % FPR)"),
    Column("advantage", title="Membership advantage by shadow models (TPR - FPR)", range=(-1.0, 1.0)),
)
#: More inputs than this are mixed down by a random projection.
_WIDEST = 256
#: Fewer items than this on a side of a half train no shadow.
_LEAST = 20


@metric(
    "privacy.lira",
    title="Membership inference by shadow models (LiRA)",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("probabilities", "attributes"),
    results=COLUMNS,
    reference="Carlini et al. 2022, Membership Inference Attacks From First Principles (online and offline LiRA)",
    formula="score of an item = log N(φ; μ_in, σ_in) − log N(φ; μ_out, σ_out), φ = log odds of its true class\n"
    "offline (pool: validation): (φ − μ_out) / σ_out\n"
    "μ from the shadows with and without the item, σ pooled over items; φ brought to the shadows' mean and deviation",
    interval="AUC: DeLong on the logit scale, summed in clusters; TPRs: Clopper-Pearson at the threshold found; "
    "advantage: MOVER. Over clusters a bootstrap. All for these shadows: other shadows give other scores.",
    limits="A lower bound: the shadows are small networks, whatever the submission is, and know nothing of how it was "
    "trained; shadows of its own kind find more. The loss alone, in `details.loss_auc`, may find more too. Members "
    "and non-members must come from one distribution, else the attack tells the distributions apart.",
)
def lira(
    ctx: MetricContext,
    *,
    attribute: str = "member",
    member: str = "yes",
    non_member: str = "no",
    pool: Literal["split", "validation"] = "split",
    shadows: Annotated[int, Field(ge=4, le=256, multiple_of=2)] = 16,
    items: Annotated[int, Field(ge=100, le=100_000)] = 4000,
) -> MetricReturn:
    """How well an attacker who trains models of its own tells items a submission was trained on from others.

    The loss takes every hard item for a stranger. Shadow models tell how sure a model is of an item that it knows and
    one that it does not know, item by item, and what counts is which of the two the submission is like. An AUC of 0.5
    is nothing leaked, 1 everything; the shares of members found while at most 1 % and 0.1 % of the non-members are
    wrongly accused need 100 and 1000 non-members.

    `attribute` says who is a member: `member` and `non_member` are its values; at most `items` of them are drawn by
    the run's seed. `pool`: what shadows are trained on, each on a random half. `split`: these items themselves,
    whoever is a member, so that half of the shadows know an item; `validation`: the validation split, so that none
    does, and only surprise is left to go by. A shadow takes about 3 · 150 · 128 · n · d multiplications for n items of
    d numbers in its half, d being 256 at most: some seconds on one core. The submission is not asked again.
    """
    if member == non_member:
        raise ScorerFault("`member` and `non_member` are the same value.")
    found = rows_of(ctx, attribute, (member, non_member))
    if isinstance(found, MetricValue):
        return {column.key: found for column in COLUMNS}
    reason = _refused(ctx, pool)
    if reason:
        return {column.key: undefined(reason, state="not_applicable") for column in COLUMNS}
    case = _case(ctx, found, items)
    reason = _too_few(ctx, case, pool)
    if reason:
        value = undefined(reason, n=case.member.size, state="too_few")
        return {column.key: value for column in COLUMNS}
    _announce(ctx, case, shadows)
    scores, details = _online(ctx, case, shadows) if pool == "split" else _offline(ctx, case, shadows)
    details |= {
        "pool": pool, "shadows": shadows, "learner": f"one hidden layer of {HIDDEN} units, {STEPS} steps of Adam",
        "columns": int(case.columns.shape[1]), "loss_auc": area(Attack(case.odds, case.member))[0],
    }  # fmt: skip
    return _results(
        ctx, Attack(scores, case.member, None if ctx.clusters is None else ctx.clusters[case.rows]), details
    )


def _results(ctx: MetricContext, attack: Attack, details: dict[str, JsonValue]) -> MetricReturn:
    auc, (low, high) = area(attack)
    members = int(attack.member.sum())
    details |= {"members": members, "non_members": attack.n - members, "curve": curve(attack)}
    return {
        "": MetricValue(auc, low=low, high=high, n=attack.n, details=details),
        "tpr_at_fpr_1": tpr_at(attack, 0.01, ctx.rng("privacy.lira.tpr_at_fpr_1")),
        "tpr_at_fpr_0_1": tpr_at(attack, 0.001, ctx.rng("privacy.lira.tpr_at_fpr_0_1")),
        "advantage": advantage(attack, ctx.rng("privacy.lira.advantage")),
    }


@dataclass(frozen=True)
class _Case:
    """The items that are attacked: `rows` of the split, `columns` for the shadows, and the submission's log odds."""

    rows: IntArray
    member: Bools
    columns: FloatArray
    odds: FloatArray


def _refused(ctx: MetricContext, pool: str) -> str:
    if ctx.inputs is None:
        return "shadow models are trained on the inputs, which are not read for a file of predictions"
    if pool == "split":
        return ""
    other = ctx.validation
    if other is None or other.inputs is None or other.probabilities is None:
        return ctx.missing(("validation",)) or "the validation split has no inputs or no probabilities"
    return "" if other.n >= 2 * _LEAST else f"the validation split has {other.n} items: {2 * _LEAST} are needed"


def _too_few(ctx: MetricContext, case: _Case, pool: str) -> str:
    """Why nobody can be told from anybody, or no shadow be trained on a half, or nothing."""
    if len(np.unique(case.member)) < 2:
        return "all items drawn are members, or none is"
    if pool == "split" and case.rows.size < 2 * _LEAST:
        return f"shadows are trained on halves of {case.rows.size} items: {2 * _LEAST} are needed"
    of, rows = (ctx, case.rows) if pool == "split" else (ctx.validation, slice(None))
    if of is None or of.clusters is None or len(set(of.clusters[rows].tolist())) > 1:
        return ""
    return "all items that shadows are trained on share one cluster, which cannot be halved"


def _narrowed(ctx: MetricContext, of: MetricContext, rows: IntArray) -> FloatArray:
    """The same columns of the items of this context and of its validation split, (n, d)."""
    if of.inputs is None or ctx.input is None:
        raise RuntimeError("the caller checks that there are inputs")
    return narrow(math.prod(ctx.input.shape), _WIDEST, ctx.rng("privacy.lira.columns"))(of.inputs[rows])


def _case(ctx: MetricContext, found: tuple[IntArray, ...], items: int) -> _Case:
    rows = np.sort(np.concatenate(found))
    if rows.size > items:
        rows = np.sort(ctx.rng("privacy.lira.items").choice(rows, size=items, replace=False))
    odds = confidence(distribution(ctx)[rows], ctx.labels[rows])
    return _Case(rows, np.isin(rows, found[0]), _narrowed(ctx, ctx, rows), odds)


def _online(ctx: MetricContext, case: _Case, shadows: int) -> tuple[FloatArray, dict[str, JsonValue]]:
    """Scores of the items by shadows of which half know each, and what there is to tell."""
    codes = None if ctx.clusters is None else cluster_codes(ctx.clusters[case.rows])
    trained = halves_of(case.rows.size, shadows, codes, ctx.rng("privacy.lira.halves"))
    known = case.columns, ctx.labels[case.rows]
    odds = ask_shadows(known, trained, known, len(ctx.task.classes), ctx.rng("privacy.lira.training"), _progress(ctx))
    said = Said(odds, trained)
    own = on_the_scale(case.odds, case.odds, said.mixture(float(case.member.mean())))
    return said.compared(own), {
        "trained_on": int(trained[0].sum()),
        "shadows_sure_inside": said.confident(inside=True), "shadows_sure_outside": said.confident(inside=False),
    }  # fmt: skip


def _offline(ctx: MetricContext, case: _Case, shadows: int) -> tuple[FloatArray, dict[str, JsonValue]]:
    """Scores of the items by shadows that know none of them."""
    other = ctx.validation
    if other is None or other.probabilities is None:
        raise RuntimeError("`_refused` checks that there is a validation split")
    columns = _narrowed(ctx, other, np.arange(other.n))
    trained = halves_of(other.n, shadows, cluster_codes(other.clusters), ctx.rng("privacy.lira.halves"))
    asked = np.vstack([case.columns, columns]), np.concatenate([ctx.labels[case.rows], other.labels])
    odds = ask_shadows(
        (columns, other.labels), trained, asked, len(ctx.task.classes), ctx.rng("privacy.lira.training"), _progress(ctx)
    )
    pool, n = Said(odds[:, case.rows.size :], trained), case.rows.size
    own = on_the_scale(case.odds, confidence(other.probabilities, other.labels), pool.mixture(0.0))
    scores = Said(odds[:, :n], np.zeros((shadows, n), dtype=bool)).surprising(own)
    return scores, {
        "trained_on": int(trained[0].sum()),
        "shadows_sure_inside": pool.confident(inside=True), "shadows_sure_outside": pool.confident(inside=False),
    }  # fmt: skip


def _announce(ctx: MetricContext, case: _Case, shadows: int) -> None:
    """What it will cost: forward, and twice that backward, through the first layer."""
    items = case.rows.size if ctx.validation is None else max(case.rows.size, ctx.validation.n)
    work = 3 * STEPS * HIDDEN * case.columns.shape[1] * items // 2 * shadows
    ctx.progress(f"membership inference: {shadows} shadow models, at most {work:.1e} multiplications", 0.0)


def _progress(ctx: MetricContext) -> Callable[[float], None]:
    return lambda share: ctx.progress("membership inference: shadow models", share)
