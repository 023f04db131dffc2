"""Fast gradient sign method."""

from __future__ import annotations

from typing import Literal

import numpy as np

from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange, where_found
from runners.attacks.gradient import ascent, single_step
from runners.models.base import Loss, Model
from runners.registry import Asks, attack


@attack(
    "fgsm",
    title="Fast gradient (sign) method",
    requires="gradients",
    norms=("linf", "l2"),
    reference="Goodfellow, Shlens and Szegedy, ICLR 2015",
    limits="A single step, the weakest attack here: robust accuracy under it alone says little, and masked "
    "gradients stop it. Examples lie a whole eps away, so their distances say nothing about the nearest one.",
    queries=lambda parameters: Asks(2, 2) if parameters["engine"] == "art" else Asks(1, 1),
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
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """One step of length eps along the sign (linf) or the direction (l2) of the gradient.

    Returns the inputs, changed where the step fools the model. One gradient and one question an item.
    `engine: art` is ART's, which has the cross-entropy only.
    """
    if engine == "art":
        from runners.adapters.art import generate

        return generate("fgsm", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options={})
    gradient, _ = ascent(model, x, y, loss)
    point, wrong = single_step(
        model, x, y, gradient, radius=np.full(x.shape[0], eps), norm=norm, value_range=value_range
    )
    return where_found(x, point, wrong)
