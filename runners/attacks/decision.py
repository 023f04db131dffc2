"""The moves of a decision-based attack on many items at once, with a budget for each."""

from __future__ import annotations

import math

import numpy as np

from runners.attacks.geometry import (
    BATCH_BYTES,
    Bools,
    Floats,
    Inputs,
    Ints,
    Norm,
    ValueRange,
    ask,
    column,
    distance,
    steepest,
)
from runners.models.base import Model

#: Questions kept back in each round for the step and the search of the boundary.
_RESERVE = 28
_FEWEST_PROBES = 8
_HALVINGS = 12
#: Radius of the probes of a direction, relative to the distance to the item.
_PROBE_RADIUS = 0.01
#: Tolerance of the boundary's search, as a share of what a probe moves across it: the rest is spent on both sides.
_TOLERANCE = 0.25
#: What an estimate of the direction keeps of the ones before it: the boundary turns slowly, and in linf, where each
#: sign counts as much as any other, the small ones need more probes than one round has.
_MEMORY: dict[Norm, float] = {"l2": 0.5, "linf": 0.8}
#: How near the corner of the ball is tried, relative to the distance so far.
_NEARER = 0.999


class Search:
    """Where each item's walk is. `best` (n, *shape) is the nearest example so far, the item itself without one.

    `used` (n,) counts the questions asked about each item.
    """

    def __init__(
        self,
        model: Model,
        x: Inputs,
        y: Ints,
        *,
        norm: Norm,
        value_range: ValueRange,
        rng: np.random.Generator,
        budget: int,
    ) -> None:
        self._model, self._x, self._y = model, x, y
        self._norm, self._range, self._rng, self._budget = norm, value_range, rng, budget
        size = int(np.prod(x.shape[1:]))
        # Boundary tolerance, relative: probes must see both sides, and in linf all coordinates add up.
        self._theta = _TOLERANCE * _PROBE_RADIUS / (math.sqrt(size) if norm == "l2" else size)
        self.used = np.zeros(x.shape[0], dtype=np.int64)
        self._point = x.copy()
        self._reach = np.full(x.shape[0], np.inf)
        self._slope: Floats = np.zeros((0, *x.shape[1:]))
        self._done = np.zeros(x.shape[0], dtype=bool)
        self.best = x.copy()
        self._best_reach = np.full(x.shape[0], np.inf)

    def active(self) -> Ints:
        """Items that walk on: they have an example and enough budget for another round."""
        left = self._budget - self.used >= _RESERVE + _FEWEST_PROBES
        return np.flatnonzero(left & ~self._done & np.isfinite(self._reach) & (self._reach > 0))

    def start(self, trials: int) -> None:
        """A first example for each item that the model gets right: the nearest other item, else random points."""
        classes = self._ask(np.arange(self._x.shape[0]), self._x)
        right = np.flatnonzero(classes == self._y)
        chosen, point = self._nearest_of_other_class(right, classes)
        self._to_boundary(chosen, point)
        for _ in range(trials):
            missing = right[~np.isfinite(self._reach[right])]
            missing = missing[self.used[missing] < self._budget]
            if missing.size == 0:
                return
            noise = self._rng.uniform(*self._range, size=(missing.size, *self._x.shape[1:])).astype(np.float32)
            wrong = self._ask(missing, noise) != self._y[missing]
            self._to_boundary(missing[wrong], noise[wrong])

    def step(self, probes: int, round_number: int) -> None:
        """One round: estimate the direction, step along it, search the boundary again."""
        index = self.active()
        probes = int(min(probes, (self._budget - self.used[index]).min() - _RESERVE))
        direction = self._estimate(index, probes)
        if self._norm == "linf":
            cornered = self._corner(index, direction)
            index, direction = index[~cornered], direction[~cornered]
        moved, wrong = self._stride(index, direction, self._reach[index] / math.sqrt(round_number))
        # An item that found no step stays where it is and asks in other directions next time.
        self._to_boundary(index[wrong], moved[wrong])

    def _estimate(self, index: Ints, probes: int) -> Floats:
        """The direction of steepest growth by the new probes, and by those of the rounds before, which count less."""
        if self._slope.shape[0] == 0:
            self._slope = np.zeros(self._x.shape)
        self._slope[index] = _MEMORY[self._norm] * self._slope[index] + probes * self._direction(index, probes)
        return steepest(self._slope[index], self._norm)

    def _corner(self, index: Ints, direction: Floats) -> Bools:
        """Try the corner of the ball around the item itself, a little nearer than the walk is: where that is wrong.

        On a linear model the nearest example is the corner with the right signs.
        """
        offset = column(_NEARER * self._reach[index], direction) * direction
        point = np.clip(self._x[index] + offset, *self._range).astype(np.float32)
        wrong = self._ask(index, point) != self._y[index]
        self._to_boundary(index[wrong], point[wrong])
        return np.asarray(wrong)

    def _ask(self, index: Ints, points: Inputs) -> Ints:
        self.used[index] += 1
        return ask(self._model, points)

    def _nearest_of_other_class(self, index: Ints, classes: Ints) -> tuple[Ints, Inputs]:
        """For each item the nearest item that the model puts in another class; costs no question."""
        flat = self._x.reshape(self._x.shape[0], math.prod(self._x.shape[1:]))
        squares = np.einsum("ij,ij->i", flat, flat, dtype=np.float64)
        found: list[int] = []
        other: list[int] = []
        for i in index:
            gap = np.where(classes != self._y[i], squares - 2.0 * (flat @ flat[i]), np.inf)
            j = int(gap.argmin())
            if np.isfinite(gap[j]):
                found.append(int(i))
                other.append(j)
        return np.array(found, dtype=np.int64), self._x[np.array(other, dtype=np.int64)]

    def _toward(self, index: Ints, point: Inputs, share: Floats) -> Inputs:
        """The point at `share` of the way from the items to `point`: on the segment (l2), or by clipping (linf)."""
        origin = self._x[index].astype(np.float64)
        offset = point - origin
        if self._norm == "l2":
            offset = offset * column(share, origin)
        else:
            limit = column(share * distance(point, self._x[index], "linf"), origin)
            offset = np.clip(offset, -limit, limit)
        return np.clip(origin + offset, *self._range).astype(np.float32)

    def _to_boundary(self, index: Ints, point: Inputs) -> None:
        """Binary search between the items and adversarial points; the walk goes on from what is found."""
        if index.size == 0:
            return
        near, far = np.zeros(index.size), np.ones(index.size)
        best = point.copy()
        while True:
            open_ = np.flatnonzero((far - near > self._theta) & (self.used[index] < self._budget))
            if open_.size == 0:
                break
            middle = (near[open_] + far[open_]) / 2
            candidate = self._toward(index[open_], point[open_], middle)
            wrong = self._ask(index[open_], candidate) != self._y[index[open_]]
            far[open_[wrong]], near[open_[~wrong]] = middle[wrong], middle[~wrong]
            best[open_[wrong]] = candidate[wrong]
        self._point[index] = best
        self._reach[index] = distance(best, self._x[index], self._norm)
        better = self._reach[index] < self._best_reach[index]
        self.best[index[better]] = best[better]
        self._best_reach[index[better]] = self._reach[index[better]]

    def _direction(self, index: Ints, probes: int) -> Floats:
        """Monte-Carlo estimate of the boundary's normal, towards the wrong side: shape of the items."""
        base = self._point[index]
        radius = column(_PROBE_RADIUS * self._reach[index], base).astype(np.float32)[:, None]
        weighted = np.zeros(base.shape)
        plain = np.zeros(base.shape)
        signs = np.zeros(index.size)
        share = max(1, BATCH_BYTES // max(1, base.nbytes))
        for begin in range(0, probes, share):
            size = min(share, probes - begin)
            shift = self._noise((index.size, size, *base.shape[1:]))
            points = np.clip(base[:, None] + radius * shift, np.float32(self._range[0]), np.float32(self._range[1]))
            shift = (points - base[:, None]) / radius
            classes = ask(self._model, points.reshape(-1, *base.shape[1:])).reshape(index.size, size)
            sign = np.where(classes != self._y[index][:, None], 1.0, -1.0)
            weighted += np.einsum("np,np...->n...", sign, shift)
            plain += shift.sum(axis=1)
            signs += sign.sum(axis=1)
        self.used[index] += probes
        mean = signs / probes
        # The mean answer is a baseline that lowers the variance; where all agree there is nothing to subtract.
        baseline = np.where(np.abs(mean) == 1.0, 0.0, mean)
        return (weighted - column(baseline, plain) * plain) / probes

    def _noise(self, shape: tuple[int, ...]) -> Inputs:
        """Random directions of unit l2 norm, float32: (items, probes, *shape)."""
        if self._norm == "l2":
            noise = self._rng.standard_normal(shape, dtype=np.float32)
        else:
            noise = self._rng.random(shape, dtype=np.float32) * 2 - 1
        axes = tuple(range(2, len(shape)))
        length = np.sqrt((noise * noise).sum(axis=axes, keepdims=True))
        return np.asarray(noise / np.maximum(length, np.finfo(np.float32).tiny), dtype=np.float32)

    def _stride(self, index: Ints, direction: Floats, length: Floats) -> tuple[Inputs, Bools]:
        """Step along the direction, halved until the model is wrong there: points, and where that came about."""
        moved, wrong = self._point[index].copy(), np.zeros(index.size, dtype=bool)
        for halving in range(_HALVINGS):
            rest = np.flatnonzero(~wrong & (self.used[index] < self._budget))
            if rest.size == 0:
                break
            stride = column(length[rest] / 2**halving, direction)
            point = np.clip(self._point[index[rest]] + stride * direction[rest], *self._range).astype(np.float32)
            hit = self._ask(index[rest], point) != self._y[index[rest]]
            moved[rest[hit]] = point[hit]
            wrong[rest[hit]] = True
        return moved, wrong
