"""A small learner that attackers use: ridge regression on the features and on random rectified ones.

Closed form, so it is the same on every machine up to rounding, and exact where the target is linear in the features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
#: From targets and answers of items held back to how good the answers are.
Quality = Callable[[FloatArray, FloatArray], float]

#: Rectified features.
_HIDDEN = 256
#: Numbers of the inputs that are held in float64 at once.
_CHUNK = 4_000_000
#: Strengths of the penalty that are tried; the first is next to none.
_PENALTIES = (1e-9, 1e-3, 1e-1, 1e1)
_HELD_BACK = 0.25


@dataclass(frozen=True)
class Basis:
    """Columns (n, d) to features (n, k): a constant, the columns scaled, and `weights` of them rectified."""

    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    offsets: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        z = (x - self.centre) / self.scale
        hidden = np.maximum(z @ self.weights + self.offsets, 0.0)
        return np.hstack([np.ones((x.shape[0], 1)), z, hidden])


@dataclass(frozen=True)
class Narrow:
    """Items (n, ...) as columns (n, d). Wider ones than `mix` are mixed by it and keep their distances, about."""

    mix: FloatArray | None

    def __call__(self, x: npt.NDArray[np.floating]) -> FloatArray:
        flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if self.mix is None:
            return flat.astype(np.float64)
        step = max(1, _CHUNK // flat.shape[1])
        parts = [flat[i : i + step].astype(np.float64) @ self.mix for i in range(0, flat.shape[0], step)]
        return np.concatenate([np.zeros((0, self.mix.shape[1])), *parts])


def narrow(width: int, most: int, rng: np.random.Generator) -> Narrow:
    """For items of this many numbers, to at most `most` columns by a random projection (Johnson-Lindenstrauss)."""
    return Narrow(None if width <= most else rng.standard_normal((width, most)) / np.sqrt(most))


def basis(x: FloatArray, rng: np.random.Generator, *, hidden: int = _HIDDEN) -> Basis:
    """A basis for columns like these (n, d): hidden units of random direction whose edge passes through an item."""
    scale = x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    centre = x.mean(axis=0)
    weights = rng.standard_normal((x.shape[1], hidden)) / np.sqrt(max(1, x.shape[1]))
    through = (x[rng.integers(0, x.shape[0], hidden)] - centre) / scale
    return Basis(centre, scale, weights, -(through * weights.T).sum(axis=1))


def ridge(
    features: FloatArray, targets: FloatArray, penalties: Sequence[float], weights: FloatArray | None = None
) -> list[FloatArray]:
    """Coefficients (k, m) of least weighted squared error for each penalty; `weights` (n,) are those of the items.

    Solved in the smaller of the two dimensions; a penalty is relative to the mean square of the features.
    """
    root = np.ones(features.shape[0]) if weights is None else np.sqrt(weights / weights.mean())
    a, b = features * root[:, None], targets * root[:, None]
    size = max(float((a * a).sum()) / a.shape[1], 1e-30)
    wide = a.shape[0] < a.shape[1]
    square, right = (a @ a.T, b) if wide else (a.T @ a, a.T @ b)
    unit = size * np.eye(square.shape[0])
    found = [np.linalg.solve(square + penalty * unit, right) for penalty in penalties]
    return [a.T @ inner if wide else inner for inner in found]


def learn(
    x: FloatArray,
    targets: FloatArray,
    rng: np.random.Generator,
    *,
    quality: Quality,
    weights: FloatArray | None = None,
) -> Callable[[FloatArray], FloatArray]:
    """A function from columns (n, d) to answers (n, m), learned from columns and targets (n, m).

    Linear or with hidden units, and how strong a penalty: what does best on a quarter of the items held back, the
    simpler where equal; then all items are used.
    """
    n = x.shape[0]
    order = rng.permutation(n)
    cut = min(n - 1, max(1, round(n * (1 - _HELD_BACK))))
    train, test = order[:cut], order[cut:]
    best: tuple[float, Basis, float] | None = None
    for made in (basis(x, rng, hidden=0), basis(x, rng)):
        features = made(x)
        part = None if weights is None else weights[train]
        tried = ridge(features[train], targets[train], _PENALTIES, part)
        for penalty, coefficients in zip(_PENALTIES, tried, strict=True):
            value = quality(targets[test], features[test] @ coefficients)
            if best is None or value > best[0] + 1e-12:
                best = (value, made, penalty)
    if best is None:
        raise RuntimeError("there are penalties to try")
    _, chosen, penalty = best
    final = ridge(chosen(x), targets, (penalty,), weights)[0]
    return lambda columns: np.asarray(chosen(columns) @ final)
