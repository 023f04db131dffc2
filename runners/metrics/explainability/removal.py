"""What the model says when the most important parts of an input are taken away, or nothing else is left."""

from __future__ import annotations

import numpy as np

from runners.attacks.geometry import Floats, Inputs, Ints
from runners.metrics.explainability.attributions import ask_steps
from runners.metrics.explainability.subject import Subject


def places(units: Floats, rng: np.random.Generator) -> Ints:
    """Place of each unit in the order of importance, from 0, (n, units); ties in random order."""
    order = np.lexsort((rng.random(units.shape), -units), axis=-1)
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(units.shape[1]), units.shape), axis=1)
    return place.astype(np.int64)


def counts(units: int, steps: int) -> Ints:
    """How many units are taken at each of at most `steps` equal steps, from none to all: increasing, (points,)."""
    return np.unique(np.rint(np.linspace(0, units, min(steps, units) + 1)).astype(np.int64))


def curves(aim: Subject, place: Ints, steps: int) -> tuple[Floats, Floats, Floats]:
    """Shares taken (points,), and scores (points, n) while the important units go, and while they come.

    Deletion starts at the item and ends at the baseline, insertion the other way round.
    """
    taken = counts(place.shape[1], steps)

    def changed(k: int) -> Inputs:
        deletes, count = k < taken.size, taken[k % taken.size]
        first = aim.widened(place) < count
        return np.where(first == deletes, aim.base, aim.x)

    answers = aim.scores(ask_steps(aim.model, changed, 2 * taken.size))
    return taken / place.shape[1], answers[: taken.size], answers[taken.size :]


def area(shares: Floats, scores: Floats) -> Floats:
    """Area under each item's curve by the trapezoidal rule, (n,), in [0, 1]."""
    return np.asarray(((scores[1:] + scores[:-1]) / 2 * np.diff(shares)[:, None]).sum(axis=0), dtype=np.float64)


def kept(aim: Subject, units: Floats, place: Ints, shares: tuple[float, ...]) -> Floats:
    """Scores (shares, n) of items of which only the most important share is kept, weighted by its importance.

    The map is scaled to [0, 1] on each item and set to 0 outside the share; what it hides becomes the baseline. A map
    that is the same everywhere hides nothing of the share.
    """
    low, high = units.min(axis=1, keepdims=True), units.max(axis=1, keepdims=True)
    scaled = np.where(high > low, (units - low) / np.where(high > low, high - low, 1.0), 1.0)
    most = [max(1, round(share * units.shape[1])) for share in shares]

    def masked(k: int) -> Inputs:
        mask = aim.widened(np.where(place < most[k], scaled, 0.0))
        return (aim.base + mask * (aim.x - aim.base.astype(np.float64))).astype(np.float32)

    return aim.scores(ask_steps(aim.model, masked, len(shares)))
