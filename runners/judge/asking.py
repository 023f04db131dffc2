"""Asking a model for the answers to a whole split: batch by batch, in an order the judge draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runners.context import FloatArray, Inputs
from runners.data.room import release
from runners.models.base import Model

#: A batch of the prediction stage: small enough for any memory limit, large enough to hide the round trip.
_BATCH_BYTES = 8 * 2**20
_MOST_ITEMS = 256


def batch_items(x: Inputs) -> int:
    """Items in one question."""
    return max(1, min(_MOST_ITEMS, _BATCH_BYTES // max(1, x[:1].nbytes)))


def predict_all(
    model: Model, x: Inputs, *, classes: int, rng: np.random.Generator, progress: Callable[[str, float], None]
) -> FloatArray:
    """Probabilities of every item, (n, classes), in the order of x. The submission sees a random order.

    Raises:
        ParticipantFault: from the model, where it dies, is late or answers nonsense.
    """
    order = rng.permutation(x.shape[0])
    out = np.empty((x.shape[0], classes))
    size = batch_items(x)
    progress("predict", 0.0)
    for start in range(0, x.shape[0], size):
        rows = order[start : start + size]
        out[rows] = model.predict(np.ascontiguousarray(x[rows]))
        release(x)
        progress("predict", (start + rows.size) / x.shape[0])
    return out
