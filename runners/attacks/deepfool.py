"""DeepFool, by ART."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange
from runners.models.base import Model
from runners.registry import attack


@attack(
    "deepfool",
    title="DeepFool (ART)",
    requires="gradients",
    norms=("l2",),
    reference="Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016; ART's implementation",
    queries=lambda parameters: 2 + int(parameters["steps"]) * (1 + int(parameters["classes"])),
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
) -> Inputs:
    """Step to the nearest boundary of the model's linear picture of itself, until it is crossed.

    Args:
        overshoot: how far beyond, relative to the perturbation.
        classes: the most likely ones whose boundaries are looked at; each costs a question a step.

    Returns the inputs, changed where an example was found, at whatever distance: `eps` only tells success.
    """
    from runners.adapters.art import generate

    options = {"max_iter": steps, "epsilon": overshoot, "nb_grads": classes}
    return generate("deepfool", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options)
