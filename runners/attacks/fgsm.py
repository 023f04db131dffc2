"""Fast gradient sign method."""

from __future__ import annotations

import numpy as np

from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange
from runners.attacks.gradient import ascent, single_step
from runners.models.base import Loss, Model
from runners.registry import attack


@attack(
    "fgsm",
    title="Fast gradient (sign) method",
    requires="gradients",
    norms=("linf", "l2"),
    reference="Goodfellow, Shlens and Szegedy, ICLR 2015",
    queries=lambda _: 2,
)
def fgsm(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    loss: Loss = "cross_entropy",
) -> Inputs:
    """One step of length eps along the sign (linf) or the direction (l2) of the gradient.

    Returns the inputs, changed where the step fools the model. One gradient and one question an item.
    """
    gradient, _ = ascent(model, x, y, loss)
    point, wrong = single_step(
        model, x, y, gradient, radius=np.full(x.shape[0], eps), norm=norm, value_range=value_range
    )
    out = x.copy()
    out[wrong] = point[wrong]
    return out
