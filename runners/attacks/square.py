"""Square: random search with rectangles, all items in step with each other.

Each round tries one rectangle an item, at a place of its own, so the number of round trips is the number of rounds
and does not depend on how many items there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from runners.attacks.geometry import (
    Floats,
    Inputs,
    Ints,
    Norm,
    ValueRange,
    into_ball,
    logits,
    margin,
    probabilities,
    where_found,
)
from runners.attacks.tiles import inside, places, planes, share, sides, twin_peaks, window
from runners.models.base import Model
from runners.registry import attack

#: Least side of a rectangle in l2: a pattern of two peaks needs some room.
_LEAST = 3
_TINY = 1e-12


def _queries(parameters: Mapping[str, Any]) -> int:
    """As for an item that holds out; ART asks three times a round."""
    return int(parameters["queries"]) * (3 if parameters["engine"] == "art" else 1)


@attack(
    "square",
    title="Square",
    requires="queries",
    norms=("linf", "l2"),
    reference="Andriushchenko, Croce, Flammarion and Hein, ECCV 2020",
    limits="It needs probabilities that move: answers of 0 and 1 alone leave it a blind search. Made for linf and "
    "images; in l2 and on other inputs it needs more questions. Examples lie on the edge of the ball, so distances "
    "say nothing.",
    queries=_queries,
)
def square(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    queries: Annotated[int, Field(ge=2, le=1_000_000)] = 1000,
    first: Annotated[float, Field(gt=0, le=1)] = 0.8,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """Change rectangles at random and keep what lowers the margin, seeing class probabilities only.

    Args:
        queries: most questions about an item; it leaves as soon as it is fooled.
        first: share of the image that the first rectangles take; it falls with the rounds.
        engine: `art` is ART's, for images only; its `queries` are rounds, of three questions each.

    Images are (channels, height, width); of other items, rectangles are stretches of neighbouring values.
    Examples lie on the edge of the ball: their distance says nothing about the nearest one.

    Returns the inputs, changed where an example was found.
    """
    if engine == "art":
        from runners.adapters.art import generate

        options = {"max_iter": queries, "p_init": first}
        return generate("square", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options)
    if x.shape[0] == 0:
        return x.copy()
    items = planes(x)
    ball = _Ball(items, eps, value_range)
    moves = _Linf(ball, rng) if norm == "linf" else _L2(ball, rng)
    best = moves.begin()
    reached = _ask(model, best, x, y)
    for number in range(1, queries):
        rows = np.flatnonzero(reached < 0)
        if rows.size == 0:
            break
        candidate = moves.propose(rows, best[rows], share(first, number - 1, queries))
        value = _ask(model, candidate, x, y[rows])
        # Where a sure model answers zero whatever is tried, equal steps lead off that plain.
        better = value >= reached[rows]
        best[rows[better]], reached[rows[better]] = candidate[better], value[better]
    return where_found(x, best.reshape(x.shape), reached >= 0)


def _ask(model: Model, points: Inputs, x: Inputs, y: Ints) -> Floats:
    """The margin of each point; a tie counts against the model only where the model decides it so."""
    z = logits(probabilities(model, points.reshape(-1, *x.shape[1:])))
    value = margin(z, y)
    return np.where((value == 0) & (z.argmax(axis=1) == y), -_TINY, value)


class _Ball:
    """What the moves have in common: the items (n, channels, height, width) and where their examples may be."""

    def __init__(self, x: Inputs, eps: float, value_range: ValueRange) -> None:
        self.x, self.eps, self.range = x, eps, value_range
        self.n, self.channels, self.height, self.width = x.shape

    def bring(self, moved: Floats, rows: Ints, norm: Norm) -> Inputs:
        return into_ball(moved, self.x[rows], np.full(rows.size, self.eps), norm, self.range)


class _Linf:
    """Every value is at one end or the other; a rectangle gets one end for each channel."""

    def __init__(self, ball: _Ball, rng: np.random.Generator) -> None:
        self._ball, self._rng = ball, rng
        everything = np.arange(ball.n)
        self._low = ball.bring(ball.x.astype(np.float64) - ball.eps, everything, "linf")
        self._high = ball.bring(ball.x.astype(np.float64) + ball.eps, everything, "linf")

    def begin(self) -> Inputs:
        """Stripes from top to bottom; of a single row, one end for each value."""
        up = self._rng.random((self._ball.n, self._ball.channels, 1, self._ball.width)) < 0.5
        return np.where(up, self._high, self._low)

    def propose(self, rows: Ints, best: Inputs, part: float) -> Inputs:
        ball = self._ball
        size = sides(part, ball.height, ball.width)
        top = places(rows.size, size[0], ball.height, self._rng)
        left = places(rows.size, size[1], ball.width, self._rng)
        mask = inside(top, left, size, ball.height, ball.width)
        up = self._rng.random((rows.size, ball.channels, 1, 1)) < 0.5
        low, high = self._low[rows], self._high[rows]
        candidate = np.where(mask, np.where(up, high, low), best)
        # A rectangle that is so already would waste a question: there the other ends are tried.
        same = (candidate == best).all(axis=(1, 2, 3))
        candidate[same] = np.where(mask[same], np.where(up[same], low[same], high[same]), best[same])
        return candidate


class _L2:
    """The length of the perturbation is spent on peaks; a rectangle takes that of another one."""

    def __init__(self, ball: _Ball, rng: np.random.Generator) -> None:
        self._ball, self._rng = ball, rng

    def _signs(self, *shape: int) -> Floats:
        return np.where(self._rng.random(shape) < 0.5, 1.0, -1.0)

    def _scaled(self, rows: Ints, delta: Floats) -> Inputs:
        length = np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
        moved = self._ball.x[rows] + self._ball.eps * delta / np.maximum(length, _TINY)
        return self._ball.bring(moved, rows, "l2")

    def begin(self) -> Inputs:
        """Five by five tiles of peaks, up or down."""
        ball = self._ball
        tall, wide = max(1, ball.height // 5), max(1, ball.width // 5)
        grid = ball.height // tall, ball.width // wide
        signs = self._signs(ball.n, ball.channels, *grid).repeat(tall, axis=2).repeat(wide, axis=3)
        delta = np.zeros(ball.x.shape)
        delta[:, :, : grid[0] * tall, : grid[1] * wide] = signs * np.tile(twin_peaks(tall, wide), grid)
        return self._scaled(np.arange(ball.n), delta)

    def propose(self, rows: Ints, best: Inputs, part: float) -> Inputs:
        """Take the length in two rectangles, and what clipping left over, and put all of it into the first."""
        ball, n = self._ball, rows.size
        size = sides(part, ball.height, ball.width, _LEAST)
        spots = [
            window(
                n, ball.channels, places(n, size[0], ball.height, self._rng),
                places(n, size[1], ball.width, self._rng), size,
            )
            for _ in range(2)
        ]  # fmt: skip
        delta = best.astype(np.float64) - ball.x[rows]
        whole = (delta**2).sum(axis=(2, 3), keepdims=True)
        old = delta[spots[0]]
        for spot in spots:
            delta[spot] = 0.0
        freed = whole - (delta**2).sum(axis=(2, 3), keepdims=True)
        spare = np.maximum(ball.eps**2 - whole.sum(axis=1, keepdims=True), 0.0) / ball.channels
        fresh = self._peaks(n, size) + old / np.maximum(np.sqrt((old**2).sum(axis=(2, 3), keepdims=True)), _TINY)
        length = np.sqrt((fresh**2).sum(axis=(2, 3), keepdims=True))
        delta[spots[0]] = fresh / np.maximum(length, _TINY) * np.sqrt(np.maximum(freed, 0.0) + spare)
        return self._scaled(rows, delta)

    def _peaks(self, n: int, size: tuple[int, int]) -> Floats:
        """For each item and channel the two peaks, up or down, side by side or above each other."""
        pattern = twin_peaks(*size)
        signs = self._signs(n, self._ball.channels, 1, 1)
        if size[0] != size[1]:
            return signs * pattern
        turned = self._rng.random((n, 1, 1, 1)) < 0.5
        return signs * np.where(turned, pattern.T, pattern)
