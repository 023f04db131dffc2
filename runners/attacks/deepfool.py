"""DeepFool: straight to the nearest boundary of a linear picture of the model."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from runners.attacks.geometry import (
    BATCH_BYTES,
    Bools,
    Floats,
    Inputs,
    Ints,
    Norm,
    ValueRange,
    ask,
    column,
    distance,
    probabilities,
    where_found,
)
from runners.attacks.gradient import ask_gradient
from runners.attacks.minimum import shrink
from runners.models.base import Model
from runners.registry import Asks, attack

#: About log2(1 / tolerance) questions draw an example to the boundary.
_SHRINK = 16


@attack(
    "deepfool",
    title="DeepFool",
    requires="gradients",
    norms=("l2",),
    reference="Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016, algorithm 2",
    limits="l2 only. It follows a linear picture of the model, so it finds near examples fast and not the "
    "nearest, and nothing where gradients are masked. `eps` does not steer it.",
    queries=lambda parameters: Asks(_SHRINK + parameters["steps"], parameters["steps"] * parameters["classes"]),
)
def deepfool(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 100,
    overshoot: Annotated[float, Field(ge=0)] = 1e-4,
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """Step to the nearest boundary of the model's linear picture of itself, until it is crossed.

    Args:
        overshoot: how far beyond, relative to the perturbation.
        classes: the most likely ones whose boundaries are looked at; each but the true one costs a gradient a step.
        engine: `art` is ART's, whose examples stay where it leaves them.

    Returns the inputs, changed where an example was found, at whatever distance: `eps` only tells success. Examples are
    drawn to the boundary on their segment. Items that are wrong to begin with stay as they are.
    """
    if engine == "art":
        from runners.adapters.art import generate

        options = {"max_iter": steps, "epsilon": overshoot, "nb_grads": classes}
        return generate("deepfool", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options)
    if x.shape[0] == 0:
        return x.copy()
    said = probabilities(model, x)
    rivals = _rivals(said, y, classes)
    walk, point, found = x.astype(np.float64), x.copy(), np.zeros(x.shape[0], dtype=bool)
    active = right = np.flatnonzero(said.argmax(axis=1) == y)
    for _ in range(steps):
        if active.size == 0:
            break
        move, wrong = _toward_nearest(model, point[active], y[active], rivals[active], value_range)
        found[active[wrong]] = True
        # What is left to go at the boundary itself, the overshoot goes.
        reach = distance(walk[active], x[active], "l2")
        going = ~wrong & (distance(move, np.zeros_like(move), "l2") > overshoot / 2 * reach)
        active, move = active[going], move[going]
        walk[active] = np.clip(walk[active] + move, *value_range)
        point[active] = walk[active].astype(np.float32)
    rest = right[~found[right]]
    beyond = x[rest] + (1 + overshoot) * (walk[rest] - x[rest])
    point[rest] = np.clip(beyond, *value_range).astype(np.float32)
    found[rest] = ask(model, point[rest]) != y[rest]
    point[found] = shrink(model, x[found], point[found], y[found], value_range=value_range)
    return where_found(x, point, found)


def _rivals(said: Floats, y: Ints, classes: int) -> Ints:
    """The most likely classes without the true one, (n, classes - 1), the likeliest first."""
    others = said.copy()
    others[np.arange(y.size), y] = -np.inf
    order = np.argsort(-others, axis=1, kind="stable")
    return np.asarray(order[:, : min(classes, said.shape[1]) - 1], dtype=np.int64)


def _toward_nearest(
    model: Model, point: Inputs, y: Ints, rivals: Ints, value_range: ValueRange
) -> tuple[Floats, Bools]:
    """The shortest way to a boundary that the gradients at `point` promise, and where the model is wrong there.

    It is zero where no gradient leads anywhere.
    """
    move, wrong = np.zeros(point.shape), np.zeros(y.size, dtype=bool)
    block = max(1, BATCH_BYTES // max(1, point[0].nbytes * rivals.shape[1]))
    for begin in range(0, y.size, block):
        part = slice(begin, begin + block)
        gap, gradient, wrong[part] = _pictures(model, point[part], y[part], rivals[part], value_range)
        squares = (gradient**2).reshape(*gradient.shape[:2], -1).sum(axis=2)
        reach = np.where(squares > 0, gap / np.sqrt(np.where(squares > 0, squares, 1.0)), np.inf)
        rows, nearest = np.arange(reach.shape[0]), reach.argmin(axis=1)
        known = np.isfinite(reach[rows, nearest])
        share = np.where(known, gap[rows, nearest] / np.where(known, squares[rows, nearest], 1.0), 0.0)
        move[part] = -column(share, point) * gradient[rows, nearest]
    return move, wrong


def _pictures(
    model: Model, point: Inputs, y: Ints, rivals: Ints, value_range: ValueRange
) -> tuple[Floats, Floats, Bools]:
    """How far the true class is above each rival, (n, rivals), its gradient, and where the model is wrong.

    The gradient is without the values that stand at an end of the value range and would be pushed beyond.
    """
    count = rivals.shape[1]
    # Where the model is right its class is the largest, and the margin of a rival how far the class is above it.
    answer = ask_gradient(model, np.repeat(point, count, axis=0), rivals.ravel(), "margin")
    gradient = answer.gradient.astype(np.float64).reshape(-1, count, *point.shape[1:])
    stuck = (point <= value_range[0])[:, None] & (gradient > 0) | (point >= value_range[1])[:, None] & (gradient < 0)
    gradient[stuck] = 0.0
    return answer.loss.reshape(-1, count), gradient, np.asarray(answer.logits[::count].argmax(axis=1) != y)
