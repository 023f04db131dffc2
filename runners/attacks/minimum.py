"""The smallest perturbation: by bisection over the budget of an attack, and along the segment to an example."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, ask, column, distance
from runners.models.base import Model

#: An attack on the items `index` with a budget for each: examples, and which of them fooled the model.
BudgetAttack = Callable[[Ints, Floats], tuple[Inputs, Bools]]

#: Relative width to which a boundary is searched, and how far beyond it the example is put, so that
#: rounding in another batch does not undo it. Together below 1e-4.
TOLERANCE = 5e-5
_MARGIN = 2.5e-5


def between(x: Inputs, found: Inputs, share: Floats, value_range: ValueRange) -> Inputs:
    """The point at `share` (n,) of the way from x to `found`, in float32 and inside the value range."""
    origin = x.astype(np.float64)
    return np.clip(origin + column(share, x) * (found - origin), *value_range).astype(np.float32)


def shrink(
    model: Model, x: Inputs, found: Inputs, y: Ints, *, value_range: ValueRange, tolerance: float = TOLERANCE
) -> Inputs:
    """Move each example towards its item as far as it stays adversarial: the boundary on the segment between.

    Exact up to the relative `tolerance` where the segment crosses the boundary once; never farther than `found`.
    Costs about log2(1/tolerance) questions an item; all items share the round trips.
    """
    near, far = np.zeros(x.shape[0]), np.ones(x.shape[0])
    best = found.copy()
    while True:
        active = np.flatnonzero(far - near > tolerance * far)
        active = active[far[active] > np.finfo(np.float32).eps]
        if active.size == 0:
            break
        middle = (near[active] + far[active]) / 2
        point = between(x[active], found[active], middle, value_range)
        wrong = ask(model, point) != y[active]
        far[active[wrong]] = middle[wrong]
        near[active[~wrong]] = middle[~wrong]
        best[active[wrong]] = point[wrong]
    padded = between(x, found, np.minimum(1.0, far * (1 + _MARGIN)), value_range)
    wrong = ask(model, padded) != y
    best[wrong] = padded[wrong]
    return best


def minimal(
    model: Model,
    attack: BudgetAttack,
    x: Inputs,
    y: Ints,
    *,
    eps: float,
    norm: Norm,
    value_range: ValueRange,
    bisections: int,
    tolerance: float = TOLERANCE,
) -> tuple[Inputs, Bools]:
    """The nearest example that `attack` finds within `eps` of each item, and which items have one.

    First the whole budget, then bisection of each item's own budget between the largest one that failed
    and the nearest example so far. Every example is first drawn to the boundary on its segment, so a
    linear model needs no bisection at all: its distance is |w·x+b| over the dual norm of w.
    """
    best, found = attack(np.arange(x.shape[0]), np.full(x.shape[0], eps))
    best = np.where(column(found.astype(np.float64), x) > 0, best, x)
    failed = np.zeros(x.shape[0])
    chosen = np.flatnonzero(found)
    best[chosen] = shrink(model, x[chosen], best[chosen], y[chosen], value_range=value_range, tolerance=tolerance)
    for _ in range(bisections):
        reach = distance(best, x, norm)
        chosen = np.flatnonzero(found & (reach - failed > tolerance * reach))
        if chosen.size == 0:
            break
        middle = (reach[chosen] + failed[chosen]) / 2
        point, wrong = attack(chosen, middle)
        failed[chosen[~wrong]] = middle[~wrong]
        hit = chosen[wrong]
        closer = shrink(model, x[hit], point[wrong], y[hit], value_range=value_range, tolerance=tolerance)
        better = distance(closer, x[hit], norm) < reach[hit]
        best[hit[better]] = closer[better]
    return best, found
