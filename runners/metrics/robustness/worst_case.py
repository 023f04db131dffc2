"""Robustness against several attacks: each item meets the one that hurts it most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Norm
from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.metrics.robustness.attack import COLUMNS, counts_of, report
from runners.metrics.robustness.recheck import Rechecked
from runners.metrics.robustness.target import Attacked, Plan, attack_target, plan, target
from runners.metrics.robustness.validity import validity, validity_cost
from runners.registry import Asks, AttackInfo, Cost, MetricReturn, metric, undefined

_Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]
_Parameters = dict[str, dict[str, JsonValue]] | None


def _plans(names: Sequence[str], norm: Norm, eps: float, given: _Parameters) -> list[Plan]:
    stray = [name for name in given or {} if name not in names]
    if stray or len(set(names)) != len(names):
        what = f"parameters are given for {', '.join(stray)}" if stray else "an attack stands twice"
        raise ScorerFault(f"robustness.worst_case: {what}; the attacks are {', '.join(names)}.")
    return [plan(name, norm, eps, (given or {}).get(name, {})) for name in names]


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    plans = _plans(parameters["attacks"], parameters["norm"], parameters["eps"], parameters["attack_parameters"])
    chosen = min(items, parameters["items"] or items)
    each = sum((item.asks for item in plans), Asks(2 * len(plans)))
    white = all(item.info.requires == "gradients" for item in plans)
    asked = each * chosen + validity_cost(parameters, chosen, plans)
    return Cost.of(asked, least=chosen, access="gradients" if white else "queries")


@metric(
    "robustness.worst_case",
    title="Robustness against the worst of several attacks",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("queries",),
    results=COLUMNS,
    reference="Croce and Hein, ICML 2020: worst case over attacks per item",
    formula="robust accuracy = items that are right and stay right under every attack / n",
    interval="Wilson score interval, over clusters a bootstrap. Median distance: order statistics. None for queries.",
    limits="Still an upper bound: the worst of the attacks that were run. Attacks that the submission's access "
    "rules out are in `details.not_run`, so a model that gives no gradients meets fewer of them; compare "
    "submissions attacked by the same ones. Queries are those of all attacks together.",
    queries=_cost,
)
def worst_case(
    ctx: MetricContext,
    *,
    attacks: _Names,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    attack_parameters: _Parameters = None,
    items: Annotated[int, Field(ge=1)] | None = None,
    defence: str | None = None,
    defence_parameters: dict[str, JsonValue] | None = None,
    check_items: Annotated[int, Field(ge=0, le=10_000)] = 50,
    check_queries: Annotated[int, Field(ge=100, le=100_000)] = 400,
) -> MetricReturn:
    """Accuracy that is left when each item meets the attack that hurts it most: an item counts only if none fools it.

    Never the mean over attacks: whoever attacks has to succeed once. All attacks see the same items, and every item
    that is right, so `details.attacks` compares them: robust accuracy, queries, seconds of each, and how many items
    only this one fools. `attack_parameters` maps an attack to its own parameters. Distances are those of the nearest
    example of any attack. A model that refuses gradients is attacked by the others; the report says which ran.
    """
    plans = _plans(attacks, norm, eps, attack_parameters)
    refused = {item.info.name: ctx.missing((item.info.requires,)) for item in plans}
    plans = [item for item in plans if not refused[item.info.name]]
    if not plans:
        why = "; ".join(dict.fromkeys(refused.values()))
        return {column.key: undefined(why, state="not_applicable") for column in COLUMNS}
    aim = target(ctx, items, defence, defence_parameters)
    if aim.chosen.size == 0:
        return {column.key: undefined("the split has no items", n=0) for column in COLUMNS}
    runs = []
    for index, item in enumerate(plans):
        ctx.progress(f"{item.info.name}: {aim.chosen.size} items", index / (len(plans) + 1))
        runs.append((item, attack_target(ctx, aim, item)))
    worst = together([attacked for _, attacked in runs])
    ctx.progress("checks", len(plans) / (len(plans) + 1))
    details: dict[str, JsonValue] = {
        **worst.cost(), "norm": norm, "eps": eps, "seed": ctx.seed,
        "attacks": [_row(item, attacked, runs, eps) for item, attacked in runs],
        "not_run": {name: why for name, why in refused.items() if why},
        "defence": defence, "defence_parameters": defence_parameters,
        "validity": validity(ctx, aim, runs, items=check_items, queries=check_queries),
    }  # fmt: skip
    return report(ctx, aim, worst, replace(plans[0], info=_joint(plans)), details)


def _joint(plans: Sequence[Plan]) -> AttackInfo:
    """One attack that stands for several in titles."""
    return replace(plans[0].info, name="worst of " + ", ".join(item.info.name for item in plans))


def together(runs: Sequence[Attacked]) -> Attacked:
    """Each item with the nearest example that any attack found; costs add up.

    An item counts as right before the attack where it was right for every run, so that a random model gains nothing.
    """
    reach = np.stack([run.held.reach for run in runs])
    best = reach.argmin(axis=0)
    rows = np.arange(best.size)
    held = Rechecked(
        reach=reach.min(axis=0),
        claimed=np.any([run.held.claimed for run in runs], axis=0),
        # Rejected: something was claimed, and nothing held.
        rejected=np.any([run.held.rejected for run in runs], axis=0) & ~np.isfinite(reach.min(axis=0)),
        final=np.stack([run.held.final for run in runs])[best, rows],
        answers=np.stack([run.held.answers for run in runs])[best, rows],
    )
    return Attacked(
        correct=np.all([run.correct for run in runs], axis=0), clean=runs[0].clean, held=held,
        queries=sum(run.queries for run in runs), calls=sum(run.calls for run in runs),
        seconds=sum(run.seconds for run in runs),
    )  # fmt: skip


def _row(plan: Plan, attacked: Attacked, runs: Sequence[tuple[Plan, Attacked]], eps: float) -> dict[str, JsonValue]:
    """One attack by itself. `only`: items that no other attack of the list fools."""
    broken = attacked.broken(eps)
    others = [other.broken(eps) for _, other in runs if other is not attacked]
    only = broken & ~np.any(others, axis=0) if others else broken
    attacks = int(attacked.correct.sum())
    return {
        "attack": plan.info.name, "parameters": dict(plan.typed),
        "robust_accuracy": float((attacked.correct & ~broken).mean()), "only": int(only.sum()), **attacked.cost(),
        "queries_per_item": attacked.queries / attacks if attacks else None, **counts_of(attacked, eps),
    }  # fmt: skip
