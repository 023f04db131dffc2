"""Robustness under one attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Bools, Norm
from runners.context import MetricContext, Names
from runners.metrics.performance.shares import share_interval
from runners.metrics.robustness.recheck import Rechecked
from runners.metrics.robustness.target import (
    Attacked,
    Plan,
    Target,
    accuracy_versus_eps,
    attack_target,
    curve_area,
    plan,
    plan_of,
    success_versus_distance,
    target,
)
from runners.metrics.robustness.validity import validity, validity_cost
from runners.registry import Asks, Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes
from runners.statistics.intervals import quantile_interval

COLUMNS = (
    Column("robust_accuracy", title="Robust accuracy", direction="maximise", range=(0.0, 1.0)),
    Column("success_rate", title="Attack success rate", direction="minimise", range=(0.0, 1.0)),
    Column("median_distance", title="Median distance of successful examples", direction="none", range=(0.0, None)),
    Column("queries", title="Queries per item", direction="none", range=(0.0, None), unit="queries/item"),
)
_OWN = frozenset(
    {"attack", "eps", "norm", "items", "defence", "defence_parameters", "check_items", "check_queries"}
)  # fmt: skip


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    """Each item is asked once; those the model gets right, which may be none, are attacked and asked again."""
    attack = plan_of(parameters, _OWN)
    chosen = min(items, parameters["items"] or items)
    asked = (Asks(2) + attack.asks) * chosen + validity_cost(parameters, chosen, [attack])
    return Cost.of(asked, least=chosen, access=attack.info.requires)


@metric(
    "robustness.attack",
    title="Robustness under attack",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("queries",),
    results=COLUMNS,
    reference="Carlini et al. 2019, On Evaluating Adversarial Robustness; the attack's own source is in the catalogue",
    formula="robust accuracy = items that are right and stay right within eps / n\n"
    "success rate = items flipped within eps / items that were right to begin with",
    interval="Robust accuracy and success rate: Wilson score interval, over clusters a bootstrap. Median distance: "
    "order statistics. None for queries.",
    limits="An upper bound of robustness: a stronger attack may find more, so read `details.validity` first. It is "
    "about one norm and one eps, and untargeted. Distances of attacks that stop anywhere in the ball (`fgsm`, "
    "`square`, `universal`, `autoattack`) say nothing about the nearest example.",
    queries=_cost,
)
def robustness_attack(
    ctx: MetricContext,
    *,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    items: Annotated[int, Field(ge=1)] | None = None,
    defence: str | None = None,
    defence_parameters: dict[str, JsonValue] | None = None,
    check_items: Annotated[int, Field(ge=0, le=10_000)] = 50,
    check_queries: Annotated[int, Field(ge=100, le=100_000)] = 400,
    **parameters: JsonValue,
) -> MetricReturn:
    """Accuracy that is left when each item may be changed by at most eps, under one untargeted attack.

    `eps` is in the units of the inputs, `norm` is linf or l2. `items` of the split are drawn by the
    run's seed, the same for every attack. `defence` puts a preprocessor before the model; the attack asks and
    differentiates what is defended. All other parameters are those of the attack. Every example is clipped,
    measured and asked again by the judge; what does not hold is not counted.

    `details.validity` says whether the number may be believed: every check on `check_items` items (0: none), each
    at most `check_queries` questions an item.
    """
    chosen = plan(attack, norm, eps, parameters)
    missing = ctx.missing((chosen.info.requires,))
    if missing:
        return {column.key: undefined(missing, state="not_applicable") for column in COLUMNS}
    aim = target(ctx, items, defence, defence_parameters)
    if aim.chosen.size == 0:
        return {column.key: undefined("the split has no items", n=0) for column in COLUMNS}
    ctx.progress(f"{chosen.info.name}: {aim.chosen.size} items", 0.0)
    attacked = attack_target(ctx, aim, chosen)
    ctx.progress(f"{chosen.info.name}: checks", 0.5)
    details = plan_details(ctx, chosen, attacked)
    details["defence"], details["defence_parameters"] = defence, defence_parameters
    details["validity"] = validity(ctx, aim, [(chosen, attacked)], items=check_items, queries=check_queries)
    ctx.progress(f"{chosen.info.name}: done", 1.0)
    return report(ctx, aim, attacked, chosen, details)


def plan_details(ctx: MetricContext, plan: Plan, attacked: Attacked) -> dict[str, JsonValue]:
    """What was run, and what it cost."""
    return {
        **attacked.cost(), "attack": plan.info.name, "norm": plan.norm, "eps": plan.eps,
        "attack_parameters": dict(plan.typed), "seed": ctx.seed,
    }  # fmt: skip


def counts_of(attacked: Attacked, eps: float) -> dict[str, JsonValue]:
    """Curves, and how many items were attacked, fooled, and what came of what the attack claimed."""
    correct, held, broken = attacked.correct, attacked.held, attacked.broken(eps)
    return {
        "clean_accuracy": float(correct.mean()),
        "accuracy_versus_eps": [{**point} for point in accuracy_versus_eps(correct, held.reach, eps)],
        "success_versus_distance": [{**p} for p in success_versus_distance(held.reach[correct], eps)] if correct.any()
        else [],
        "success_area": curve_area(held.reach[correct], eps) if correct.any() else None,
        "n_attacked": int(correct.sum()),
        "n_success": int(broken.sum()),
        "n_rechecked": int(held.claimed.sum()),
        "n_rejected": int(held.rejected.sum()),
        "n_beyond_eps": int((correct & np.isfinite(held.reach) & ~broken).sum()),
        "confidence": _confidence(attacked, broken),
    }  # fmt: skip


def _confidence(attacked: Attacked, broken: Bools) -> dict[str, JsonValue]:
    """How sure the model is of the class it names: of the items as they are, and of the examples that fool it."""
    fooled = attacked.held.answers[broken]
    return {
        "natural": float(attacked.clean.max(axis=1).mean()),
        "adversarial": float(fooled.max(axis=1).mean()) if fooled.size else None,
    }


def report(
    ctx: MetricContext, aim: Target, attacked: Attacked, plan: Plan, details: dict[str, JsonValue]
) -> dict[str, MetricValue]:
    """The four results, and the details beside robust accuracy."""
    correct, broken = attacked.correct, attacked.broken(plan.eps)
    survived = correct & ~broken
    clusters = None if ctx.clusters is None else ctx.clusters[aim.chosen]
    low, high = share_interval(survived, clusters, rng=ctx.rng("robustness.robust_accuracy"))
    label = plan.label
    return {
        "robust_accuracy": MetricValue(
            float(survived.mean()), low=low, high=high, n=correct.size,
            details={**details, **counts_of(attacked, plan.eps)}, title=f"Robust accuracy ({label})",
        ),
        "success_rate": _success(ctx, correct, broken, clusters, f"Attack success rate ({label})"),
        "median_distance": _median(attacked.held, correct, broken, plan.norm, clusters, f"Median distance ({label})"),
        "queries": _queries(attacked.queries, int(correct.sum()), f"Queries per item ({label})"),
    }  # fmt: skip


def _queries(asked: int, attacked: int, title: str) -> MetricValue:
    """What the attack itself asked, gradients included; the judge's own questions are not in it."""
    if attacked == 0:
        return undefined("no item was attacked", n=0)
    return MetricValue(asked / attacked, n=attacked, title=title)


def _success(ctx: MetricContext, correct: Bools, broken: Bools, clusters: Any, title: str) -> MetricValue:
    """Flips among the items that the model got right to begin with."""
    if not correct.any():
        return undefined("the model gets none of the items right, so there is nothing to attack", n=0)
    inside = None if clusters is None else clusters[correct]
    low, high = share_interval(broken[correct], inside, rng=ctx.rng("robustness.success_rate"))
    return MetricValue(float(broken[correct].mean()), low=low, high=high, n=int(correct.sum()), title=title)


def _median(
    held: Rechecked, correct: Bools, broken: Bools, norm: Norm, clusters: Names | None, title: str
) -> MetricValue:
    """Median of the examples within eps. `details` has the median over all items, where half of them have one.

    The interval is of order statistics, which take items for independent: none where items share clusters.
    """
    everywhere = float(np.median(held.reach[correct])) if correct.any() else np.inf
    details: dict[str, JsonValue] = {"median_of_all_attacked": everywhere if np.isfinite(everywhere) else None}
    if not broken.any():
        return MetricValue(
            None, n=0, state="undefined", reason="no item was flipped within eps", details=details, title=title
        )
    median, low, high = quantile_interval(held.reach[broken], 0.5)
    if clusters is not None and cluster_codes(clusters[broken]) is not None:
        low = high = None
    return MetricValue(median, low=low, high=high, n=int(broken.sum()), unit=norm, details=details, title=title)
