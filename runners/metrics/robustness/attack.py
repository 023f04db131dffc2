"""Robustness under one attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ask
from runners.context import MetricContext
from runners.errors import ScorerFault, UserError
from runners.metrics.performance.shares import share_interval
from runners.metrics.robustness.recheck import TOLERANCE, Rechecked, recheck
from runners.registry import (
    AttackInfo,
    Column,
    Cost,
    MetricReturn,
    MetricValue,
    get_attack,
    metric,
    parse_parameters,
    undefined,
)
from runners.statistics.intervals import quantile_interval

_COLUMNS = (
    Column("robust_accuracy", title="Robust accuracy", direction="maximise", range=(0.0, 1.0)),
    Column("success_rate", title="Attack success rate", direction="minimise", range=(0.0, 1.0)),
    Column("median_distance", title="Median distance of successful examples", direction="none", range=(0.0, None)),
    Column("queries", title="Queries per item", direction="none", range=(0.0, None), unit="queries/item"),
)
#: Points of the curve between no budget and eps, both included.
_CURVE = 9


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    """Each item is asked once; those the model gets right, which may be none, are attacked and asked again."""
    attack = get_attack(parameters["attack"])
    own = ("attack", "eps", "norm", "items")
    typed = parse_parameters(
        attack, {key: value for key, value in parameters.items() if key not in own and value is not None}
    )
    chosen = min(items, parameters["items"] or items)
    each = attack.queries(typed) if attack.queries is not None else 0
    return Cost(least=chosen, typical=chosen * (2 + each), access=attack.requires)


@metric(
    "robustness.attack",
    title="Robustness under attack",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("queries",),
    results=_COLUMNS,
    reference="Carlini et al. 2019, On Evaluating Adversarial Robustness; the attack's own source is in the catalogue",
    queries=_cost,
)
def robustness_attack(
    ctx: MetricContext,
    *,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    items: Annotated[int, Field(ge=1)] | None = None,
    **parameters: JsonValue,
) -> MetricReturn:
    """Accuracy that is left when each item may be changed by at most eps, under one untargeted attack.

    `eps` is in the units of the inputs, `norm` is linf or l2. `items` of the split are drawn by the
    run's seed, the same for every attack. All other parameters are those of the attack. Every example
    is clipped, measured and asked again by the judge; what does not hold is not counted.
    """
    info = _attack(attack, norm)
    typed = parse_parameters(info, {key: value for key, value in parameters.items() if value is not None})
    missing = ctx.missing((info.requires,))
    if missing:
        return {column.key: undefined(missing, state="not_applicable") for column in _COLUMNS}
    return _run(ctx, info, norm, eps, items, typed)


def _attack(name: str, norm: Norm) -> AttackInfo:
    try:
        info = get_attack(name)
    except UserError as error:
        raise ScorerFault(error.message, hint=error.hint, code=error.code) from error
    if norm not in info.norms:
        raise ScorerFault(f"The attack {name} has no norm {norm!r}.", hint=f"It has {', '.join(info.norms)}.")
    return info


def _sample(ctx: MetricContext, items: int | None) -> Ints:
    """Which items are attacked, in order of the split: the same for every attack of a run."""
    if items is None or items >= ctx.n:
        return np.arange(ctx.n)
    return np.sort(ctx.rng("robustness.items").choice(ctx.n, size=items, replace=False))


def _run(
    ctx: MetricContext, info: AttackInfo, norm: Norm, eps: float, items: int | None, typed: Mapping[str, Any]
) -> MetricReturn:
    if ctx.model is None or ctx.inputs is None or ctx.input is None:
        raise RuntimeError("robustness.attack runs only where the needs it declares are met")
    chosen = _sample(ctx, items)
    if chosen.size == 0:
        return {column.key: undefined("the split has no items", n=0) for column in _COLUMNS}
    x, y = ctx.inputs[chosen], ctx.labels[chosen]
    ctx.progress(f"{info.name}: {chosen.size} items", 0.0)
    calls, started = ctx.model.calls, ctx.clock()
    correct = ask(ctx.model, x) == y
    right = np.flatnonzero(correct)
    held = Rechecked(np.full(y.size, np.inf), np.zeros(y.size, dtype=bool), np.zeros(y.size, dtype=bool))
    asked = 0
    if right.size:
        rng, before = ctx.rng(f"robustness.{info.name}.{norm}.{eps!r}"), ctx.model.queries
        # Items that are wrong already are not attacked: they count against the model as they are.
        found: Inputs = info.function(
            ctx.model, x[right], y[right], norm=norm, eps=eps, value_range=ctx.input.range, rng=rng, **typed
        )
        asked = ctx.model.queries - before
        part = recheck(ctx.model, x[right], found, y[right], norm=norm, value_range=ctx.input.range)
        held.reach[right], held.claimed[right], held.rejected[right] = part.reach, part.claimed, part.rejected
    cost: dict[str, JsonValue] = {
        "seconds": ctx.clock() - started, "queries": asked, "calls": ctx.model.calls - calls, "attack": info.name,
        "norm": norm, "eps": eps, "attack_parameters": dict(typed), "seed": ctx.seed,
    }  # fmt: skip
    ctx.progress(f"{info.name}: done", 1.0)
    return _report(ctx, chosen, correct, held, eps, norm, asked, cost)


def accuracy_versus_eps(correct: Bools, reach: Floats, eps: float, points: int = _CURVE) -> list[dict[str, float]]:
    """Robust accuracy at budgets from 0 to eps; falls or stays, for an example counts for every larger budget."""
    grid = np.linspace(0.0, eps, points)
    reaches = np.where(correct, reach, 0.0)
    # At no budget at all nothing is changed: that point is the clean accuracy.
    survive = [float((correct & ~(reaches <= e + TOLERANCE)).mean()) if e > 0 else float(correct.mean()) for e in grid]
    return [{"eps": float(e), "accuracy": share} for e, share in zip(grid, survive, strict=True)]


def _report(
    ctx: MetricContext,
    chosen: Ints,
    correct: Bools,
    held: Rechecked,
    eps: float,
    norm: Norm,
    asked: int,
    cost: dict[str, JsonValue],
) -> dict[str, MetricValue]:
    broken = correct & (held.reach <= eps + TOLERANCE)
    survived = correct & ~broken
    clusters = None if ctx.clusters is None else ctx.clusters[chosen]
    label = f"{cost['attack']}, {norm}, eps {eps:g}"
    details: dict[str, JsonValue] = {
        **cost,
        "clean_accuracy": float(correct.mean()),
        "accuracy_versus_eps": [{**point} for point in accuracy_versus_eps(correct, held.reach, eps)],
        "n_attacked": int(correct.sum()),
        "n_success": int(broken.sum()),
        "n_rechecked": int(held.claimed.sum()),
        "n_rejected": int(held.rejected.sum()),
        "n_beyond_eps": int((correct & np.isfinite(held.reach) & ~broken).sum()),
    }
    low, high = share_interval(survived, clusters, rng=ctx.rng("robustness.robust_accuracy"))
    return {
        "robust_accuracy": MetricValue(
            float(survived.mean()), low=low, high=high, n=correct.size, details=details,
            title=f"Robust accuracy ({label})",
        ),
        "success_rate": _success(ctx, correct, broken, clusters, f"Attack success rate ({label})"),
        "median_distance": _median(held, correct, broken, norm, f"Median distance ({label})"),
        "queries": _queries(asked, int(correct.sum()), f"Queries per item ({label})"),
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


def _median(held: Rechecked, correct: Bools, broken: Bools, norm: Norm, title: str) -> MetricValue:
    """Median of the examples within eps. `details` has the median over all items, where half of them have one."""
    everywhere = float(np.median(held.reach[correct])) if correct.any() else np.inf
    details: dict[str, JsonValue] = {"median_of_all_attacked": everywhere if np.isfinite(everywhere) else None}
    if not broken.any():
        return MetricValue(
            None, n=0, state="undefined", reason="no item was flipped within eps", details=details, title=title
        )
    median, low, high = quantile_interval(held.reach[broken], 0.5)
    return MetricValue(median, low=low, high=high, n=int(broken.sum()), unit=norm, details=details, title=title)
