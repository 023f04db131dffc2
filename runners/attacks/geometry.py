"""Norms, projections and steps on batches of items, per item."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from runners.models.base import Model

Norm = Literal["linf", "l2"]
Inputs = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
ValueRange = tuple[float, float]

#: Most bytes in one question. Large, so that the number of round trips does not depend on that of items.
BATCH_BYTES = 128 * 2**20


def column(values: Floats, x: npt.NDArray[np.floating]) -> Floats:
    """Per-item numbers (n,) in a shape that multiplies x."""
    return values.reshape((-1,) + (1,) * (x.ndim - 1))


def distance(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating], norm: Norm) -> Floats:
    """Distance of each pair of items in float64: (n,)."""
    flat = (a.astype(np.float64) - b.astype(np.float64)).reshape(a.shape[0], math.prod(a.shape[1:]))
    if norm == "linf":
        return np.asarray(np.abs(flat).max(axis=1, initial=0.0), dtype=np.float64)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", flat, flat)), dtype=np.float64)


def steepest(gradient: npt.NDArray[np.floating], norm: Norm) -> Floats:
    """The direction of unit norm that raises the loss fastest; zero where the gradient is zero."""
    g = gradient.astype(np.float64)
    if norm == "linf":
        return np.asarray(np.sign(g), dtype=np.float64)
    length = distance(g, np.zeros_like(g), "l2")
    return g / column(np.where(length > 0, length, 1.0), g)


def into_ball(moved: Floats, x: Inputs, radius: Floats, norm: Norm, value_range: ValueRange) -> Inputs:
    """`moved` brought within `radius` (n,) of x and into the value range, in float32.

    The distance of what is returned, measured in float64, is at most the radius: what rounding to float32 puts outside
    is taken back.
    """
    origin = x.astype(np.float64)
    offset = moved - origin
    if norm == "linf":
        limit = column(radius, x)
        point = np.clip(origin + np.clip(offset, -limit, limit), *value_range).astype(np.float32)
        outside = np.abs(point - origin) > limit
        point[outside] = np.nextafter(point[outside], x[outside])
        return point
    point = _scaled(origin, offset, radius, value_range)
    far = np.flatnonzero(distance(point, x, "l2") > radius)
    if far.size:
        # Rounding moves each value by half a unit in its last place at most.
        rounding = distance(np.spacing(point[far]), np.zeros_like(point[far]), "l2") / 2
        shorter = np.maximum(radius[far] * (1 - 1e-9) - rounding, 0.0)
        point[far] = _scaled(origin[far], offset[far], shorter, value_range)
    return point


def _scaled(origin: Floats, offset: Floats, radius: Floats, value_range: ValueRange) -> Inputs:
    """The points at `offset`, no farther than `radius` (n,) in l2, clipped to the value range."""
    length = distance(offset, np.zeros_like(offset), "l2")
    share = np.minimum(1.0, radius / np.where(length > 0, length, 1.0))
    return np.clip(origin + offset * column(share, offset), *value_range).astype(np.float32)


def random_start(x: Inputs, radius: Floats, norm: Norm, value_range: ValueRange, rng: np.random.Generator) -> Inputs:
    """A point drawn evenly from the ball around each item, clipped to the value range."""
    if norm == "linf":
        offset = rng.uniform(-1.0, 1.0, size=x.shape) * column(radius, x)
    else:
        size = int(np.prod(x.shape[1:]))
        direction = steepest(rng.standard_normal(x.shape), "l2")
        offset = direction * column(radius * rng.random(x.shape[0]) ** (1 / size), x)
    return into_ball(x.astype(np.float64) + offset, x, radius, norm, value_range)


def probabilities(model: Model, x: Inputs) -> Floats:
    """Class probabilities, (n, classes), in as few round trips as the size of a question allows; n is at least 1.

    Of a model with one output, the probability of the second class, both columns: the largest of one column would
    always be the first class, and an attack would see no boundary at all.
    """
    step = max(1, BATCH_BYTES // max(1, x[0].nbytes))
    answer = np.concatenate([model.predict(x[i : i + step]) for i in range(0, x.shape[0], step)])
    answer = answer.reshape(x.shape[0], -1)
    return np.hstack([1.0 - answer, answer]) if answer.shape[1] == 1 else answer


def ask(model: Model, x: Inputs) -> Ints:
    """Predicted classes, (n,), in as few round trips as the size of a question allows."""
    if x.shape[0] == 0:
        return np.empty(0, dtype=np.int64)
    return np.asarray(probabilities(model, x).argmax(axis=1), dtype=np.int64)


def logits(probability: Floats) -> Floats:
    """Log-probabilities, finite also where a class has no chance: logits up to a number that is the same for a row."""
    return np.log(np.maximum(probability, np.finfo(np.float64).tiny))


def margin(z: Floats, y: Ints) -> Floats:
    """How far the best other class is above the true one, (n,): positive where the model is wrong."""
    rows = np.arange(y.size)
    others = z.copy()
    others[rows, y] = -np.inf
    return np.asarray(others.max(axis=1) - z[rows, y], dtype=np.float64)


def where_found(x: Inputs, point: Inputs, found: Bools) -> Inputs:
    """The items, changed where an example was found."""
    out = x.copy()
    out[found] = point[found]
    return out
