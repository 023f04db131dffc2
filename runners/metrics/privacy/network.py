"""A small network that attackers train: one hidden layer of rectified units, by full-batch Adam (Kingma and Ba 2015).

In NumPy and float32, so that it needs nothing and is the same for a seed on one machine; elsewhere it differs as far
as rounding makes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.context import FloatArray, IntArray

Floats32 = npt.NDArray[np.float32]

HIDDEN = 128
#: Enough for it to know most of a few thousand items by heart, as overfitted models do.
STEPS = 150
_RATE = 5e-3
_DECAY = (0.9, 0.999)
_SMALL = 1e-8


@dataclass(frozen=True)
class Network:
    """Columns (n, d), scaled by `centre` and `scale`, to logits (n, classes)."""

    centre: FloatArray
    scale: FloatArray
    weights: tuple[Floats32, Floats32, Floats32, Floats32]

    def logits(self, x: FloatArray) -> FloatArray:
        inner, edge, outer, level = self.weights
        scaled = ((x - self.centre) / self.scale).astype(np.float32)
        return np.asarray(np.maximum(scaled @ inner + edge, 0.0) @ outer + level, dtype=np.float64)


def train(x: FloatArray, labels: IntArray, classes: int, rng: np.random.Generator) -> Network:
    """A network that has learned the labels (n,) of columns (n, d) by the cross-entropy."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scaled = ((x - centre) / scale).astype(np.float32)
    shapes = ((x.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, classes), (classes,))
    weights = [
        (rng.standard_normal(shape) * np.sqrt(2 / shape[0]) if len(shape) == 2 else np.zeros(shape)).astype(np.float32)
        for shape in shapes
    ]
    mean, square = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in range(1, STEPS + 1):
        for w, m, s, slope in zip(weights, mean, square, _slopes(weights, scaled, labels), strict=True):
            m += (1 - _DECAY[0]) * (slope - m)
            s += (1 - _DECAY[1]) * (slope * slope - s)
            size = np.sqrt(s / (1 - _DECAY[1] ** step)) + _SMALL
            w -= _RATE / (1 - _DECAY[0] ** step) * m / size
    return Network(centre, scale, (weights[0], weights[1], weights[2], weights[3]))


def _slopes(weights: list[Floats32], x: Floats32, labels: IntArray) -> tuple[Floats32, Floats32, Floats32, Floats32]:
    """Derivatives of the mean cross-entropy with respect to the weights."""
    inner, edge, outer, level = weights
    hidden = np.maximum(x @ inner + edge, 0.0)
    z = hidden @ outer + level
    z -= z.max(axis=1, keepdims=True)
    back = np.exp(z)
    back /= back.sum(axis=1, keepdims=True)
    back[np.arange(labels.size), labels] -= 1.0
    back /= labels.size
    before = (back @ outer.T) * (hidden > 0)
    return x.T @ before, before.sum(axis=0), hidden.T @ back, back.sum(axis=0)


def log_odds(logits: FloatArray, labels: IntArray) -> FloatArray:
    """Log odds of the true class, (n,), from logits (n, classes)."""
    rows = np.arange(labels.size)
    others = logits.copy()
    others[rows, labels] = -np.inf
    top = others.max(axis=1)
    return np.asarray(logits[rows, labels] - top - np.log(np.exp(others - top[:, None]).sum(axis=1)))
