"""The judge's own check of adversarial examples: an attack is never taken at its word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runners.attacks.geometry import BATCH_BYTES, Bools, Floats, Inputs, Ints, Norm, ValueRange, distance
from runners.models.base import Model

#: How far beyond the budget rounding may put the final float32 input.
TOLERANCE = 1e-6


def probabilities(model: Model, x: Inputs) -> Floats:
    """Answers (n, classes) in as few round trips as the size of a question allows; (0, 0) for no items."""
    if x.shape[0] == 0:
        return np.zeros((0, 0))
    step = max(1, BATCH_BYTES // max(1, x[0].nbytes))
    return np.concatenate([model.predict(x[i : i + step]) for i in range(0, x.shape[0], step)])


@dataclass(frozen=True)
class Rechecked:
    """What held. `reach` is each item's distance to an example that fools the model, infinite without one.

    `claimed`: the attack changed the item. `rejected`: it did, but asked again the model is right.
    `final` (n, *shape), float32: the example that was asked. `answers` (n, classes): what the model said to it; NaN for
    an item that is unchanged, and (n, 0) where none is changed.
    """

    reach: Floats
    claimed: Bools
    rejected: Bools
    final: Inputs
    answers: Floats


def recheck(model: Model, x: Inputs, found: Inputs, y: Ints, *, norm: Norm, value_range: ValueRange) -> Rechecked:
    """Clip to the value range in float32, measure the distance, and ask the model again.

    Raises:
        ValueError: the attack returned another shape, or numbers that are not finite (a bug of the attack).
    """
    if found.shape != x.shape or not np.isfinite(found).all():
        raise ValueError(f"an attack must return finite inputs of shape {x.shape}, not {found.shape}")
    final = np.clip(found.astype(np.float32), np.float32(value_range[0]), np.float32(value_range[1]))
    claimed = np.any((final != x).reshape(x.shape[0], -1), axis=1) if x.size else np.zeros(x.shape[0], dtype=bool)
    index = np.flatnonzero(claimed)
    said = probabilities(model, final[index])
    answers = np.full((x.shape[0], said.shape[1]), np.nan)
    answers[index] = said
    wrong = np.zeros(x.shape[0], dtype=bool)
    if index.size:
        wrong[index] = said.argmax(axis=1) != y[index]
    reach = np.where(wrong, distance(final, x, norm), np.inf)
    return Rechecked(reach=reach, claimed=claimed, rejected=claimed & ~wrong, final=final, answers=answers)
