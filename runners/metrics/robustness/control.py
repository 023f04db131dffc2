"""A black-box control: random search for a smaller margin, all items in step.

It sees probabilities only, so a model that hides its gradients hides nothing from it. It is no benchmark attack: it is
short, and there to contradict one.
"""

from __future__ import annotations

import numpy as np

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange, column, into_ball
from runners.metrics.robustness.recheck import probabilities
from runners.models.base import Model

#: Smallest probability that is told from zero: the logarithm stays finite.
_TINY = 1e-300


def margins(answers: Floats, y: Ints) -> Floats:
    """Log probability of the true class less that of the best other one, (n,); not above zero where the model errs."""
    logs = np.log(np.maximum(answers, _TINY))
    rows = np.arange(y.size)
    own = logs[rows, y]
    logs[rows, y] = -np.inf
    return np.asarray(own - logs.max(axis=1), dtype=np.float64)


def random_search(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    rounds: int,
) -> Bools:
    """Which items it fools within eps, (n,), with at most `rounds` questions an item.

    In linf a random patch is moved to the edge of the ball, all its channels to one side each; in l2 a random direction
    over a patch is added and the whole drawn into the ball. A change stays unless it makes the margin larger. Patches
    shrink as in Square (Andriushchenko et al. 2020); for inputs that are no images a patch is a run of coordinates.
    """
    fooled = np.zeros(y.size, dtype=bool)
    if y.size == 0:
        return fooled
    radius = np.full(y.size, eps)
    origin = x.astype(np.float64)
    point = _start(x, eps, norm, value_range, rng)
    answers = probabilities(model, point)
    margin = margins(answers, y)
    fooled[:] = answers.argmax(axis=1) != y
    for done in range(1, rounds):
        active = np.flatnonzero(~fooled)
        if active.size == 0:
            break
        share = 0.5 * (1 - done / rounds) ** 2 + 0.02
        mask = _patches(x.shape[1:], active.size, share, rng)
        if norm == "linf":
            sides = rng.choice([-eps, eps], size=(active.size, *x.shape[1:2], *(1,) * (x.ndim - 2)))
            moved = np.where(mask, origin[active] + sides, point[active])
        else:
            moved = point[active] + mask * rng.standard_normal(mask.shape) * (eps / np.sqrt(mask[0].sum()))
        trial = into_ball(moved, x[active], radius[active], norm, value_range)
        answers = probabilities(model, trial)
        now = margins(answers, y[active])
        better = now <= margin[active]
        kept = active[better]
        point[kept], margin[kept] = trial[better], now[better]
        fooled[active[answers.argmax(axis=1) != y[active]]] = True
    return fooled


def _start(x: Inputs, eps: float, norm: Norm, value_range: ValueRange, rng: np.random.Generator) -> Inputs:
    """On the edge of the ball: sides drawn for each column of an image, or a random direction."""
    radius = np.full(x.shape[0], eps)
    if norm == "l2":
        noise = rng.standard_normal(x.shape)
        length = np.sqrt((noise.reshape(x.shape[0], -1) ** 2).sum(axis=1))
        return into_ball(x + noise * column(eps / length, x), x, radius, norm, value_range)
    shape = (*x.shape[:-2], 1, x.shape[-1]) if x.ndim == 4 else x.shape
    return into_ball(x + rng.choice([-eps, eps], size=shape), x, radius, norm, value_range)


def _patches(shape: tuple[int, ...], n: int, share: float, rng: np.random.Generator) -> Bools:
    """One patch an item over about `share` of its places, (n, *shape): a square of an image, a run of anything else."""
    if len(shape) == 3:
        height, width = shape[1:]
        side = max(1, min(height, width, round(np.sqrt(share * height * width))))
        top = rng.integers(0, height - side + 1, size=(n, 1))
        left = rng.integers(0, width - side + 1, size=(n, 1))
        rows = (np.arange(height) >= top) & (np.arange(height) < top + side)
        columns = (np.arange(width) >= left) & (np.arange(width) < left + side)
        return np.broadcast_to((rows[:, :, None] & columns[:, None, :])[:, None], (n, *shape))
    size = int(np.prod(shape))
    run = max(1, round(share * size))
    first = rng.integers(0, size, size=(n, 1))
    inside = np.less((np.arange(size) - first) % size, run)
    return np.asarray(inside.reshape(n, *shape), dtype=np.bool_)
