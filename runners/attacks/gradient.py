"""What gradient attacks share: asking for gradients in batches, and one run of projected steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

#: What an attack climbs. `dlr` is the margin over the distance of the first to the third logit (Croce and Hein 2020).
AttackLoss = Literal["cross_entropy", "margin", "dlr"]

#: A cross-entropy below this is made of one minus a probability next to one, which has lost too many digits.
_SURE = 1e-10


@dataclass(frozen=True)
class Slope:
    """The loss of each item, float64 (n,), its gradient, float32 in the shape of x, and where the model is wrong."""

    loss: Floats
    gradient: Inputs
    wrong: Bools


def ask_gradient(model: Model, x: Inputs, y: Ints, loss: Loss) -> Gradient:
    """The model's gradients in as few round trips as the size of a question allows."""
    if x.shape[0] == 0:
        return Gradient(np.zeros(0), x, np.zeros((0, 2)))
    step = max(1, BATCH_BYTES // max(1, x[0].nbytes))
    parts = [model.gradient(x[i : i + step], y[i : i + step], loss=loss) for i in range(0, x.shape[0], step)]
    if len(parts) == 1:
        return parts[0]
    return Gradient(
        loss=np.concatenate([part.loss for part in parts]),
        gradient=np.concatenate([part.gradient for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
    )


def slope(model: Model, x: Inputs, y: Ints, loss: AttackLoss) -> Slope:
    """The loss at x, its gradient, and which items the model gets wrong there.

    Where a sure model's cross-entropy has lost its digits to rounding, or its gradient is exactly zero, the margin
    takes its place: without that a saturated model would look robust. Such a margin is negative, and so below every
    cross-entropy.
    """
    answer = ask_gradient(model, x, y, "cross_entropy" if loss == "cross_entropy" else "margin")
    gradient, value = answer.gradient, answer.loss
    wrong = np.asarray(answer.logits.argmax(axis=1) != y)
    if loss == "dlr" and answer.logits.shape[1] > 2:
        value, gradient = _dlr(model, x, answer)
    if loss == "cross_entropy":
        sure = value < _SURE
        faint = np.flatnonzero(~wrong & (sure | ~np.any(gradient, axis=tuple(range(1, x.ndim)))))
        if faint.size:
            instead = ask_gradient(model, x[faint], y[faint], "margin")
            gradient, value = gradient.copy(), value.copy()
            gradient[faint] = instead.gradient
            value[faint] = np.where(sure[faint], instead.loss, value[faint])
    return Slope(value, gradient, wrong)


def _dlr(model: Model, x: Inputs, answer: Gradient) -> tuple[Floats, Inputs]:
    """The margin over the distance of the first to the third logit, and its gradient.

    That distance is the margin against the third class: a second question.
    """
    third = np.argsort(answer.logits, axis=1)[:, -3].astype(np.int64)
    spread = ask_gradient(model, x, third, "margin")
    width = np.maximum(spread.loss, 1e-12)
    change = answer.gradient - column(answer.loss / width, x) * spread.gradient
    return answer.loss / width, (change / column(width, x)).astype(np.float32)


def ascent(model: Model, x: Inputs, y: Ints, loss: AttackLoss) -> tuple[Inputs, Bools]:
    """The gradient of the loss at x, and which items the model gets wrong there; as `slope`."""
    found = slope(model, x, y, loss)
    return found.gradient, found.wrong


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
    loss: AttackLoss,
    known: tuple[Inputs, Bools] | None = None,
) -> tuple[Inputs, Bools]:
    """Projected steps from `start`; an item leaves as soon as it is fooled. `known`: what `ascent` gave at the start.

    Returns examples and which of them fool the model. The last step is projected like every other.
    """
    point, found = start.copy(), np.zeros(x.shape[0], dtype=bool)
    active = np.arange(x.shape[0])
    for number in range(steps):
        first = known if number == 0 else None
        gradient, wrong = first if first is not None else ascent(model, point[active], y[active], loss)
        found[active[wrong]] = True
        active, gradient = active[~wrong], gradient[~wrong]
        if active.size == 0:
            return point, found
        moved = point[active] + column(step[active], x) * steepest(gradient, norm)
        point[active] = into_ball(moved, x[active], radius[active], norm, value_range)
    found[active] = ask(model, point[active]) != y[active]
    return point, found
