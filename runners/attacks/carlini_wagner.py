"""Carlini and Wagner's attack: distance and margin in one loss, whose balance is searched for each item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, ask, column, distance, where_found
from runners.attacks.gradient import ask_gradient
from runners.attacks.minimum import shrink
from runners.models.base import Model
from runners.registry import Asks, attack

#: Questions of a step of ART's, about: two gradients, and a line search of up to ten.
_EACH = Asks(10, 2)
#: About log2(1 / tolerance) questions draw an example to the boundary.
_SHRINK = 16
#: How far from the ends of the value range the walk begins, as a share of half of it: at an end tanh has no slope.
_INSIDE = 1e-6
#: The first weight of the margin, and by how much it grows while no example was found.
_FIRST, _GROWTH = 0.01, 10.0
#: Adam's: Kingma and Ba, ICLR 2015.
_MEAN, _SQUARE, _TINY = 0.9, 0.999, 1e-8


def _queries(parameters: Mapping[str, Any]) -> Asks:
    rounds = parameters["searches"] * parameters["steps"]
    return Asks(2) + _EACH * rounds if parameters["engine"] == "art" else Asks(1 + _SHRINK, rounds)


@attack(
    "carlini_wagner",
    title="Carlini and Wagner",
    requires="gradients",
    norms=("l2",),
    reference="Carlini and Wagner, IEEE S&P 2017, section VI",
    limits="l2 only, and dear: `steps` times `searches` gradients an item. It finds nothing where gradients are "
    "masked. `eps` does not steer it.",
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
    steps: Annotated[int, Field(ge=1, le=100_000)] = 100,
    searches: Annotated[int, Field(ge=1, le=100)] = 9,
    step_size: Annotated[float, Field(gt=0)] = 0.1,
    confidence: Annotated[float, Field(ge=0)] = 0.0,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """Minimise squared distance plus a weight times the margin, and search for the weight by bisection.

    Args:
        steps: gradient steps for each weight; searches: weights tried.
        step_size: of Adam, on the scale that tanh takes to the value range; it falls to nothing over the steps.
        confidence: margin by which an example has to be wrong.
        engine: `art` is ART's, with a line search in the place of Adam.

    Returns the inputs, changed where an example was found, at whatever distance: `eps` only tells success. Without a
    confidence examples are drawn to the boundary on their segment. Items that are wrong already stay as they are.
    """
    if engine == "art":
        from runners.adapters.art import generate

        options = {
            "max_iter": steps, "binary_search_steps": searches, "learning_rate": step_size, "confidence": confidence,
        }  # fmt: skip
        return generate(
            "carlini_wagner", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options
        )
    right = np.flatnonzero(ask(model, x) == y)
    if right.size == 0:
        return x.copy()
    search = _Search(model, x[right], y[right], value_range, confidence)
    for _ in range(searches):
        search.descend(steps, step_size)
        search.reweigh()
    point, found = x.copy(), np.zeros(x.shape[0], dtype=bool)
    found[right] = np.isfinite(search.reach)
    point[right] = search.best
    if confidence == 0:
        point[found] = shrink(model, x[found], point[found], y[found], value_range=value_range)
    return where_found(x, point, found)


class _Search:
    """`best` (n, *shape) is each item's nearest example so far, at the distance `reach` (n,), infinite without one."""

    def __init__(self, model: Model, x: Inputs, y: Ints, value_range: ValueRange, confidence: float) -> None:
        self._model, self._x, self._y, self._range, self._confidence = model, x, y, value_range, confidence
        low, high = value_range
        #: The items on the scale of tanh: -1 and 1 are the ends of the value range.
        self._origin = 2 * (x.astype(np.float64) - low) / (high - low) - 1
        self._weight = np.full(y.size, _FIRST)
        self._low, self._high = np.zeros(y.size), np.full(y.size, np.inf)
        self._fooled = np.zeros(y.size, dtype=bool)
        self.best, self.reach = x.copy(), np.full(y.size, np.inf)

    def descend(self, steps: int, size: float) -> None:
        """Adam on the loss with the present weights, from the items themselves."""
        self._fooled[:] = False
        place = np.arctanh(np.clip(self._origin, _INSIDE - 1, 1 - _INSIDE))
        mean, square = np.zeros(place.shape), np.zeros(place.shape)
        for number in range(1, steps + 1):
            slope = self._slope(np.tanh(place))
            mean = _MEAN * mean + (1 - _MEAN) * slope
            square = _SQUARE * square + (1 - _SQUARE) * slope**2
            scale = np.sqrt(square / (1 - _SQUARE**number)) + _TINY
            place -= size * (1 - (number - 1) / steps) * mean / (1 - _MEAN**number) / scale

    def _slope(self, there: Floats) -> Floats:
        """Ask at these points, keep what is an example, and give the gradient of the loss in the place of tanh."""
        low, high = self._range
        half = (high - low) / 2
        point = np.clip(low + half * (there + 1), low, high).astype(np.float32)
        answer = ask_gradient(self._model, point, self._y, "margin")
        self._keep(point, (answer.logits.argmax(axis=1) != self._y) & (answer.loss >= self._confidence))
        # On the scale of [0, 1], on which the paper weighs distance against margin.
        pull = column(self._weight * (answer.loss < self._confidence), there) * answer.gradient * (2 * half)
        return np.asarray(((there - self._origin) - pull) * (1 - there**2) / 2, dtype=np.float64)

    def _keep(self, point: Inputs, wrong: Bools) -> None:
        self._fooled |= wrong
        reach = distance(point, self._x, "l2")
        nearer = wrong & (reach < self.reach)
        self.best[nearer], self.reach[nearer] = point[nearer], reach[nearer]

    def reweigh(self) -> None:
        """A smaller weight where an example was found, a larger one elsewhere."""
        self._high = np.where(self._fooled, self._weight, self._high)
        self._low = np.where(self._fooled, self._low, self._weight)
        known = np.isfinite(self._high)
        self._weight = np.where(known, (self._low + np.where(known, self._high, 0.0)) / 2, self._low * _GROWTH)
