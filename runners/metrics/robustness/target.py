"""What every metric under attack starts from: which items, which model, which attack, and what the attack found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, column, into_ball, steepest
from runners.context import MetricContext
from runners.defences.defended import defended
from runners.errors import ScorerFault, UserError
from runners.metrics.robustness.recheck import TOLERANCE, Rechecked, probabilities, recheck
from runners.models.base import Model
from runners.registry import Asks, AttackInfo, get_attack, parse_parameters

#: Items under attack are in memory, several times over.
_MOST_BYTES = 2**31


@dataclass(frozen=True)
class Plan:
    """An attack with its typed parameters, a norm and a budget in the units of the inputs."""

    info: AttackInfo
    norm: Norm
    eps: float
    typed: Mapping[str, Any]

    @property
    def asks(self) -> Asks:
        """What it declares to ask about each item."""
        return self.info.asks(self.typed)

    @property
    def each(self) -> int:
        """Questions it declares for each item."""
        return self.asks.total

    @property
    def label(self) -> str:
        return f"{self.info.name}, {self.norm}, eps {self.eps:g}"


def plan(name: str, norm: Norm, eps: float, given: Mapping[str, Any]) -> Plan:
    """An attack by name with its own parameters; those that are None count as not given.

    Raises:
        ScorerFault: there is no such attack, it does not know the norm, or its parameters are wrong.
    """
    try:
        info = get_attack(name)
    except UserError as error:
        raise ScorerFault(error.message, hint=error.hint, code=error.code) from error
    if norm not in info.norms:
        raise ScorerFault(f"The attack {name} has no norm {norm!r}.", hint=f"It has {', '.join(info.norms)}.")
    return Plan(info, norm, eps, parse_parameters(info, {k: v for k, v in given.items() if v is not None}))


def plan_of(parameters: Mapping[str, Any], own: frozenset[str]) -> Plan:
    """The plan of a metric's parameters: what is not among the metric's `own` belongs to the attack."""
    given = {key: value for key, value in parameters.items() if key not in own}
    return plan(parameters["attack"], parameters["norm"], parameters["eps"], given)


@dataclass(frozen=True)
class Target:
    """Items under attack, and the model (defended where asked) that is asked. `chosen` are their rows in the split."""

    model: Model
    x: Inputs
    y: Ints
    chosen: Ints
    value_range: ValueRange


def target(
    ctx: MetricContext, items: int | None, defence: str | None = None, parameters: Mapping[str, Any] | None = None
) -> Target:
    """`items` of the split, drawn by the run's seed: the same for every attack and metric of a run."""
    if ctx.model is None or ctx.inputs is None or ctx.input is None:
        raise RuntimeError("a metric that asks the model must declare the need `queries`")
    chosen = np.arange(ctx.n)
    if items is not None and items < ctx.n:
        chosen = np.sort(ctx.rng("robustness.items").choice(ctx.n, size=items, replace=False))
    # Inputs in a file stay there where all are wanted: whoever reads them in parts never holds them.
    stay = items is None and isinstance(ctx.inputs, np.memmap)
    x = ctx.inputs if stay else ctx.inputs[chosen]
    plain = Target(ctx.model, x, ctx.labels[chosen], chosen, ctx.input.range)
    return guarded(ctx, plain, defence, parameters)


def guarded(ctx: MetricContext, plain: Target, defence: str | None, parameters: Mapping[str, Any] | None) -> Target:
    """The same items with the model behind a defence; the target itself where none is named.

    Raises:
        ScorerFault: parameters without a defence, no such defence, or wrong parameters.
    """
    if defence is None:
        if parameters:
            raise ScorerFault("`defence_parameters` stands without `defence`.", hint="Name the defence, or remove it.")
        return plain
    return replace(plain, model=defended(plain.model, defence, value_range=plain.value_range, parameters=parameters))


@dataclass(frozen=True)
class Attacked:
    """What one attack did to a target. `clean` (n, classes): answers to the items as they are.

    `correct`: right before the attack; only these are attacked. `queries` are those of the attack itself,
    `calls` and `seconds` count everything.
    """

    correct: Bools
    clean: Floats
    held: Rechecked
    queries: int
    calls: int
    seconds: float

    def broken(self, eps: float) -> Bools:
        """Items with an example within eps."""
        return self.correct & (self.held.reach <= eps + TOLERANCE)

    def inputs(self, x: Inputs, eps: float) -> Inputs:
        """Each item's example where one within eps was found, else the item."""
        chosen = self.broken(eps).reshape((-1,) + (1,) * (x.ndim - 1))
        return np.where(chosen, self.held.final, x)

    def answers(self, eps: float) -> Floats:
        """Answers (n, classes) to `inputs`."""
        out = self.clean.copy()
        broken = self.broken(eps)
        if broken.any():
            out[broken] = self.held.answers[broken]
        return out

    def cost(self) -> dict[str, JsonValue]:
        return {"queries": self.queries, "calls": self.calls, "seconds": self.seconds}


def attack_target(ctx: MetricContext, aim: Target, plan: Plan) -> Attacked:
    """Ask, attack the items that are right, check what was found. Items that are wrong already stay as they are."""
    x, y, model = aim.x, aim.y, aim.model
    if x.nbytes > _MOST_BYTES:
        raise ScorerFault(
            f"An attack holds its items in memory, and {y.size:,} of them have {x.nbytes / 2**30:.1f} GiB.",
            hint="Name a number of `items` to attack.",
        )
    calls, started = model.calls, ctx.clock()
    clean = probabilities(model, x)
    correct = clean.argmax(axis=1) == y
    right = np.flatnonzero(correct)
    held = _untouched(x, clean.shape[1])
    asked = 0
    if right.size:
        rng, before = ctx.rng(f"robustness.{plan.info.name}.{plan.norm}.{plan.eps!r}"), model.queries
        found: Inputs = plan.info.function(
            model, x[right], y[right], norm=plan.norm, eps=plan.eps, value_range=aim.value_range, rng=rng, **plan.typed
        )
        asked = model.queries - before
        part = recheck(model, x[right], found, y[right], norm=plan.norm, value_range=aim.value_range)
        held.reach[right], held.claimed[right], held.rejected[right] = part.reach, part.claimed, part.rejected
        held.final[right] = part.final
        if part.claimed.any():
            held.answers[right] = part.answers
    return Attacked(correct, clean, held, asked, model.calls - calls, ctx.clock() - started)


def pushed(aim: Target, plan: Plan, attacked: Attacked) -> tuple[Inputs, Floats]:
    """Inputs and answers under attack, with scores moved as far as the budget allows, and no class changed by it.

    An example goes on along its line to the whole budget. An item without one takes a step of the whole budget along
    the gradient, where the model gives gradients. Either is kept where the true class gets less and the answer stays
    as right or as wrong as it was. At most one gradient and one question an item.
    """
    x, answers = attacked.inputs(aim.x, plan.eps), attacked.answers(plan.eps)
    broken = attacked.broken(plan.eps)
    moved = aim.x.astype(np.float64)
    stretch = plan.eps / np.maximum(attacked.held.reach[broken], np.finfo(np.float32).tiny)
    moved[broken] += (x[broken] - moved[broken]) * column(stretch, moved)
    rest = np.flatnonzero(~broken)
    if "gradients" in aim.model.access and rest.size:
        gradient = aim.model.gradient(aim.x[rest], aim.y[rest], loss="margin").gradient
        moved[rest] += plan.eps * steepest(gradient, plan.norm)
        index = np.arange(aim.y.size)
    else:
        index = np.flatnonzero(broken)
    far = into_ball(moved[index], aim.x[index], np.full(index.size, plan.eps), plan.norm, aim.value_range)
    said = probabilities(aim.model, far)
    if index.size == 0:
        return x, answers
    y, rows = aim.y[index], np.arange(index.size)
    same = (said.argmax(axis=1) == y) == (answers[index].argmax(axis=1) == y)
    better = same & (said[rows, y] < answers[index][rows, y])
    x[index[better]], answers[index[better]] = far[better], said[better]
    return x, answers


def _untouched(x: Inputs, classes: int) -> Rechecked:
    n = x.shape[0]
    return Rechecked(
        reach=np.full(n, np.inf), claimed=np.zeros(n, dtype=bool), rejected=np.zeros(n, dtype=bool), final=x.copy(),
        answers=np.full((n, classes), np.nan),
    )  # fmt: skip


def accuracy_versus_eps(correct: Bools, reach: Floats, eps: float, points: int = 9) -> list[dict[str, float]]:
    """Robust accuracy at budgets from 0 to eps; falls or stays, for an example counts for every larger budget."""
    grid = np.linspace(0.0, eps, points)
    reaches = np.where(correct, reach, 0.0)
    # At no budget at all nothing is changed: that point is the clean accuracy.
    survive = [float((correct & ~(reaches <= e + TOLERANCE)).mean()) if e > 0 else float(correct.mean()) for e in grid]
    return [{"eps": float(e), "accuracy": share} for e, share in zip(grid, survive, strict=True)]


def success_versus_distance(reach: Floats, eps: float, points: int = 9) -> list[dict[str, float]]:
    """Share of the attacked items with an example within each distance from 0 to eps. `reach`: attacked items only."""
    return [
        {"distance": float(d), "success_rate": float((reach <= d + TOLERANCE).mean()) if d > 0 else 0.0}
        for d in np.linspace(0.0, eps, points)
    ]


def curve_area(reach: Floats, eps: float) -> float:
    """Area under success against distance on [0, eps], over eps: in [0, 1], exact, 0 where nothing is fooled.

    It is the mean over items of 1 - min(reach, eps) / eps: the nearer the examples, the larger.
    """
    return float((1 - np.minimum(reach, eps) / eps).mean())
