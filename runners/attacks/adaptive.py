"""One run of APGD: momentum, and a step that is halved where it no longer raises the loss."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, column, into_ball, steepest
from runners.attacks.gradient import AttackLoss, Slope, slope
from runners.models.base import Model

#: Share of the new step in each move; the rest is the move before.
_MOMENTUM = 0.75
#: A step is kept if the loss rose in more than this share of the moves since the last look.
_RISING = 0.75


def _looks(steps: int) -> frozenset[int]:
    """After how many moves step sizes are looked at: 22 % of all, then gaps that are 3 % less each, at least 6 %."""
    gap, least, less = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
    found, at = set(), gap
    while at <= steps:
        found.add(at)
        gap = max(gap - less, least)
        at += gap
    return frozenset(found)


@dataclass
class _Walk:
    """Where the items that hold out are; one row each. `index`: which items they are."""

    index: Ints
    point: Inputs
    before: Inputs
    gradient: Inputs
    loss: Floats
    step: Floats
    best: Inputs
    best_loss: Floats
    best_gradient: Inputs
    looked_loss: Floats
    halved: Bools
    rises: Ints

    @classmethod
    def begin(cls, point: Inputs, at: Slope, step: Floats) -> _Walk:
        n = point.shape[0]
        return cls(
            index=np.arange(n), point=point, before=point, gradient=at.gradient, loss=at.loss, step=step.copy(),
            best=point.copy(), best_loss=at.loss.copy(), best_gradient=at.gradient.copy(), looked_loss=at.loss.copy(),
            halved=np.ones(n, dtype=bool), rises=np.zeros(n, dtype=np.int64),
        )  # fmt: skip

    def keep(self, rows: Bools) -> None:
        """Only these rows go on."""
        if not rows.all():
            for field in fields(self):
                setattr(self, field.name, getattr(self, field.name)[rows])

    def moved(self, point: Inputs, at: Slope) -> None:
        """They moved to `point`, where the slope is `at`."""
        self.rises += at.loss > self.loss
        self.before, self.point, self.gradient, self.loss = self.point, point, at.gradient.copy(), at.loss
        better = at.loss > self.best_loss
        self.best[better], self.best_loss[better] = point[better], at.loss[better]
        self.best_gradient[better] = at.gradient[better]

    def look(self, moves: int) -> None:
        """Halve the step where too few of the last moves rose, or none beat the best; go on from the best there."""
        halve = self.rises <= _RISING * moves
        halve |= ~self.halved & (self.looked_loss >= self.best_loss)
        self.step[halve] /= 2
        self.point[halve], self.gradient[halve] = self.best[halve], self.best_gradient[halve]
        self.looked_loss, self.halved = self.best_loss.copy(), halve
        self.rises[:] = 0


def climb(
    model: Model,
    x: Inputs,
    y: Ints,
    start: Inputs,
    *,
    radius: Floats,
    steps: int,
    norm: Norm,
    value_range: ValueRange,
    loss: AttackLoss,
    known: Slope | None = None,
) -> tuple[Inputs, Bools]:
    """APGD from `start`; an item leaves as soon as it is fooled. `known`: the slope at the start.

    Returns examples and which of them fool the model.
    """
    out, found = start.copy(), np.zeros(x.shape[0], dtype=bool)
    at = known if known is not None else slope(model, start, y, loss)
    found |= at.wrong
    walk = _Walk.begin(start.copy(), at, 2.0 * radius)
    walk.keep(~at.wrong)
    looks, last = _looks(steps), 0
    for number in range(1, steps + 1):
        rows = walk.index
        if rows.size == 0:
            break
        origin, limit = x[rows], radius[rows]
        reach = column(walk.step, x) * steepest(walk.gradient, norm)
        moved = into_ball(walk.point + reach, origin, limit, norm, value_range)
        if number > 1:
            here = walk.point.astype(np.float64)
            mixed = here + _MOMENTUM * (moved - here) + (1 - _MOMENTUM) * (here - walk.before)
            moved = into_ball(mixed, origin, limit, norm, value_range)
        at = slope(model, moved, y[rows], loss)
        out[rows[at.wrong]], found[rows[at.wrong]] = moved[at.wrong], True
        walk.moved(moved, at)
        if number in looks:
            walk.look(number - last)
            last = number
        walk.keep(~at.wrong)
    return out, found
