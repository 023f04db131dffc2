"""Auto-PGD: gradient steps that find their own size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from runners.attacks.adaptive import climb
from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, random_start
from runners.attacks.gradient import AttackLoss, Slope, slope
from runners.attacks.minimum import minimal
from runners.models.base import Model
from runners.registry import Asks, attack

#: About log2(1 / tolerance) questions draw an example to the boundary.
_SHRINK = 16


def _queries(parameters: Mapping[str, Any]) -> Asks:
    """All steps of all starts, as for an item that holds out; where it bisects, once for each bisection."""
    each = 2 if parameters["loss"] == "dlr" else 1
    gradients = (parameters["restarts"] + 1) * (parameters["steps"] + 1) * each
    bisections = parameters["bisections"]
    return Asks(2 + (1 + min(bisections, 2)) * _SHRINK, gradients * max(1, bisections))


@attack(
    "apgd",
    title="Auto-PGD",
    requires="gradients",
    norms=("linf", "l2"),
    reference="Croce and Hein, ICML 2020",
    limits="It climbs one loss: what hides from the cross-entropy may show with `margin` or `dlr`, so one run is no "
    "AutoAttack. Without `bisections` examples are drawn to the boundary on their own segment only, so distances "
    "are upper bounds.",
    queries=_queries,
)
def apgd(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 100,
    restarts: Annotated[int, Field(ge=0, le=100)] = 1,
    loss: AttackLoss = "cross_entropy",
    bisections: Annotated[int, Field(ge=0, le=50)] = 0,
) -> Inputs:
    """Steps with momentum, from 2 eps on, halved for each item when they stop to raise its loss.

    The first start is the item itself, whose first step is that of `fgsm`; then `restarts` random ones.
    `loss`: `margin` is best other logit minus true one, `dlr` divides it by first minus third logit (two classes:
    as `margin`) and asks twice. Examples are drawn to the boundary on their segment; `bisections` as for `pgd`.

    Returns the inputs, changed where an example was found.
    """
    at = slope(model, x, y, loss)

    def within(index: Ints, radius: Floats) -> tuple[Inputs, Bools]:
        point, found = x[index].copy(), np.zeros(index.size, dtype=bool)
        for start in range(restarts + 1):
            rest = np.flatnonzero(~found)
            if rest.size == 0:
                break
            chosen = index[rest]
            begin = random_start(x[chosen], radius[rest], norm, value_range, rng) if start else x[chosen]
            known = None if start else Slope(at.loss[chosen], at.gradient[chosen], at.wrong[chosen])
            point[rest], found[rest] = climb(
                model, x[chosen], y[chosen], begin, radius=radius[rest], steps=steps,
                norm=norm, value_range=value_range, loss=loss, known=known,
            )  # fmt: skip
        return point, found

    best, _ = minimal(model, within, x, y, eps=eps, norm=norm, value_range=value_range, bisections=bisections)
    return best
