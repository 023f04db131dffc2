"""Projected gradient descent, and the smallest perturbation that it finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, random_start
from runners.attacks.gradient import ascent, descend, single_step
from runners.attacks.minimum import minimal
from runners.models.base import Loss, Model
from runners.registry import Asks, attack

#: About log2(1 / tolerance) questions draw an example to the boundary.
_SHRINK = 16


def _queries(parameters: Mapping[str, Any]) -> Asks:
    """All steps of all starts, as for an item that holds out; where it bisects, once for each bisection.

    Drawing an example to the boundary nearly always finds the nearest: what is tried within it fails, at full price,
    and a second drawing is rare.
    """
    if parameters["engine"] == "art":
        starts = max(1, parameters["restarts"])
        return Asks(2 + starts, starts * parameters["steps"])
    starts = parameters["restarts"] + 1
    bisections = parameters["bisections"]
    answers = 2 + starts * (1 + bisections) + (1 + min(bisections, 2)) * _SHRINK
    return Asks(answers, starts * parameters["steps"] * max(1, bisections))


@attack(
    "pgd",
    title="Projected gradient descent",
    requires="gradients",
    norms=("linf", "l2"),
    reference="Madry et al., ICLR 2018",
    limits="Its steps have one size: too few of them understate what can be found, and twice as many should change "
    "nothing (`details.validity`, convergence). On a linear model distances are exact to 1e-4; elsewhere they are "
    "upper bounds.",
    queries=_queries,
)
def pgd(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 20,
    restarts: Annotated[int, Field(ge=0, le=100)] = 1,
    step_size: Annotated[float, Field(gt=0)] | None = None,
    loss: Loss = "cross_entropy",
    bisections: Annotated[int, Field(ge=0, le=50)] = 5,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """Steps along the gradient, projected on the ball of radius eps; then the nearest example by bisection.

    Each item is tried with one step of length eps (so it is never weaker than `fgsm`), from the item
    itself, and from `restarts` random starts. `step_size` is in the units of eps; by default 2.5 eps / steps.
    With `bisections` 0 the first example found is only drawn to the boundary on its own segment.
    `engine: art` is ART's attack, without the single step, the plain start where there are restarts, and bisection.

    Returns the inputs, changed where an example was found.
    """
    share = 2.5 / steps if step_size is None else step_size / eps
    if engine == "art":
        from runners.adapters.art import generate

        options = {"max_iter": steps, "num_random_init": restarts, "eps_step": share * eps}
        return generate("pgd", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options)
    gradient, wrong = ascent(model, x, y, loss)

    def within(index: Ints, radius: Floats) -> tuple[Inputs, Bools]:
        point, found = single_step(
            model, x[index], y[index], gradient[index], radius=radius, norm=norm, value_range=value_range
        )
        for start in range(restarts + 1):
            rest = np.flatnonzero(~found)
            if rest.size == 0:
                break
            chosen = index[rest]
            known = None if start else (gradient[chosen], wrong[chosen])
            begin = random_start(x[chosen], radius[rest], norm, value_range, rng) if start else x[chosen]
            point[rest], found[rest] = descend(
                model, x[chosen], y[chosen], begin, radius=radius[rest], step=share * radius[rest], steps=steps,
                norm=norm, value_range=value_range, loss=loss, known=known,
            )  # fmt: skip
        return point, found

    best, _ = minimal(model, within, x, y, eps=eps, norm=norm, value_range=value_range, bisections=bisections)
    return best
