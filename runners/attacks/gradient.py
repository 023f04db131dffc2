"""What gradient attacks share: asking for gradients in batches, and one run of projected steps."""

from __future__ import annotations

import numpy as np

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
    into_ball,
    steepest,
)
from runners.models.base import Gradient, Loss, Model


def _ask_gradient(model: Model, x: Inputs, y: Ints, loss: Loss) -> Gradient:
    step = max(1, BATCH_BYTES // max(1, x[0].nbytes))
    parts = [model.gradient(x[i : i + step], y[i : i + step], loss=loss) for i in range(0, x.shape[0], step)]
    return Gradient(
        loss=np.concatenate([part.loss for part in parts]),
        gradient=np.concatenate([part.gradient for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
    )


def ascent(model: Model, x: Inputs, y: Ints, loss: Loss) -> tuple[Inputs, Bools]:
    """The gradient of the loss at x, and which items the model gets wrong there.

    Where a sure model's cross-entropy has a gradient of exactly zero (float32 underflow), the margin's
    gradient takes its place: without that a saturated model would look robust.
    """
    answer = _ask_gradient(model, x, y, loss)
    gradient = answer.gradient
    wrong = answer.logits.argmax(axis=1) != y
    flat = np.flatnonzero(~wrong & ~np.any(gradient.reshape(x.shape[0], -1), axis=1))
    if flat.size and loss == "cross_entropy":
        gradient = gradient.copy()
        gradient[flat] = _ask_gradient(model, x[flat], y[flat], "margin").gradient
    return gradient, wrong


def single_step(
    model: Model, x: Inputs, y: Ints, gradient: Inputs, *, radius: Floats, norm: Norm, value_range: ValueRange
) -> tuple[Inputs, Bools]:
    """One step of the whole budget along the gradient at x: examples and which fool the model."""
    point = into_ball(x + column(radius, x) * steepest(gradient, norm), x, radius, norm, value_range)
    return point, ask(model, point) != y


def descend(
    model: Model,
    x: Inputs,
    y: Ints,
    start: Inputs,
    *,
    radius: Floats,
    step: Floats,
    steps: int,
    norm: Norm,
    value_range: ValueRange,
    loss: Loss,
) -> tuple[Inputs, Bools]:
    """Projected steps from `start`; an item leaves as soon as it is fooled.

    Returns examples and which of them fool the model. The last step is projected like every other.
    """
    point, found = start.copy(), np.zeros(x.shape[0], dtype=bool)
    active = np.arange(x.shape[0])
    for _ in range(steps):
        gradient, wrong = ascent(model, point[active], y[active], loss)
        found[active[wrong]] = True
        active, gradient = active[~wrong], gradient[~wrong]
        if active.size == 0:
            return point, found
        moved = point[active] + column(step[active], x) * steepest(gradient, norm)
        point[active] = into_ball(moved, x[active], radius[active], norm, value_range)
    found[active] = ask(model, point[active]) != y[active]
    return point, found
