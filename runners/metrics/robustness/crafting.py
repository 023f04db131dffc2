"""Adversarial examples made against a surrogate, to be shown to other models: as strong as the budget allows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runners.attacks.geometry import Inputs, Ints, into_ball, steepest
from runners.context import MetricContext
from runners.metrics.robustness.recheck import probabilities
from runners.metrics.robustness.target import Plan, Target, attack_target, plan_of, pushed
from runners.models.base import Model
from runners.surrogates import Examples

#: Parameters of the metric that are none of its attack's.
OWN = frozenset({"surrogates", "attack", "eps", "norm", "items", "draw", "onward"})


@dataclass(frozen=True)
class Order:
    """Which examples are wanted. What is ordered twice in the same words is made once.

    `items`: of the split, None for all. `draw`: the seed of items and attack, the same for every run. `onward`: steps
    that carry each example on.
    """

    plan: Plan
    items: int | None
    draw: int
    onward: int

    @property
    def key(self) -> str:
        """SHA-256 of all of it."""
        told = {
            "attack": self.plan.info.name, "norm": self.plan.norm, "eps": self.plan.eps,
            "parameters": dict(self.plan.typed), "items": self.items, "draw": self.draw, "onward": self.onward,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def order_of(parameters: Mapping[str, Any]) -> Order:
    """The order that the typed parameters of a metric are.

    Raises:
        ScorerFault: there is no such attack, it does not know the norm, or its parameters are wrong.
    """
    return Order(plan_of(parameters, OWN), parameters["items"], parameters["draw"], parameters["onward"])


def chosen_items(order: Order, n: int) -> Ints:
    """Rows of the split, sorted: the same in every run, so that all submissions meet the same examples."""
    if order.items is None or order.items >= n:
        return np.arange(n)
    rng = np.random.default_rng([order.draw, *b"robustness.transfer.items"])
    return np.sort(rng.choice(n, size=order.items, replace=False))


def craft(ctx: MetricContext, source: Model, order: Order) -> Examples:
    """Examples for the chosen items of `ctx`, whose inputs are there; its own model and seed are not used.

    An attack stops where its own model is fooled, which fools few others. So each example goes on along its line to
    the whole budget, and where the source gives gradients `order.onward` steps further, always within the budget. An
    item that the source gets wrong, or that no attack fools, is moved by its gradient, or stays as it is.

    Raises:
        ParticipantFault: from the source, where it dies, is late or answers nonsense.
    """
    if ctx.inputs is None or ctx.input is None:
        raise RuntimeError("the caller checks that there are inputs")
    own = replace(ctx, seed=order.draw, model=source)
    chosen, plan = chosen_items(order, ctx.n), order.plan
    aim = Target(source, ctx.inputs[chosen], ctx.labels[chosen], chosen, ctx.input.range)
    asked, started = source.queries, ctx.clock()
    attacked = attack_target(own, aim, plan)
    made = pushed(aim, plan, attacked)[0]
    if "gradients" in source.access:
        made = _onward(aim, plan, made, order.onward)
    wrong = probabilities(source, made).argmax(axis=1) != aim.y
    return Examples(
        chosen=chosen, x=made, correct=attacked.correct, wrong=wrong, queries=source.queries - asked,
        seconds=ctx.clock() - started,
    )  # fmt: skip


def _onward(aim: Target, plan: Plan, start: Inputs, steps: int) -> Inputs:
    """Steps that raise the margin of the best wrong class, projected on the ball; each item's best point of them."""
    radius, step = np.full(aim.y.size, plan.eps), 2.5 * plan.eps / max(1, steps)
    best, point, highest = start.copy(), start, np.full(aim.y.size, -np.inf)
    for number in range(steps + 1):
        found = aim.model.gradient(point, aim.y, loss="margin")
        better = found.loss > highest
        best[better], highest[better] = point[better], found.loss[better]
        if number < steps:
            moved = point.astype(np.float64) + step * steepest(found.gradient, plan.norm)
            point = into_ball(moved, aim.x, radius, plan.norm, aim.value_range)
    return best
