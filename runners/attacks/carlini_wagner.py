"""Carlini and Wagner's attack, by ART."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange
from runners.models.base import Model
from runners.registry import attack

#: Questions of a step, about: two gradients, and a line search of up to ten.
_EACH = 12


def _queries(parameters: Mapping[str, Any]) -> int:
    return 2 + int(parameters["searches"]) * int(parameters["steps"]) * _EACH


@attack(
    "carlini_wagner",
    title="Carlini and Wagner (ART)",
    requires="gradients",
    norms=("l2",),
    reference="Carlini and Wagner, IEEE S&P 2017; ART's implementation",
    queries=_queries,
)
def carlini_wagner(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    steps: Annotated[int, Field(ge=1, le=100_000)] = 10,
    searches: Annotated[int, Field(ge=1, le=100)] = 10,
    step_size: Annotated[float, Field(gt=0)] = 0.01,
    confidence: Annotated[float, Field(ge=0)] = 0.0,
) -> Inputs:
    """Minimise distance plus a weight times the margin, and search for the weight.

    Args:
        steps: gradient steps for each weight; searches: weights tried.
        step_size: the first one of each search, on the scale that the attack stretches the value range to.
        confidence: margin by which an example has to be wrong.

    Returns the inputs, changed where an example was found, at whatever distance: `eps` only tells success.
    """
    from runners.adapters.art import generate

    options = {
        "max_iter": steps, "binary_search_steps": searches, "learning_rate": step_size, "confidence": confidence,
    }  # fmt: skip
    return generate(
        "carlini_wagner", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options
    )
