"""Boundary: a walk along the decision boundary by rejection, all items in step with each other."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from runners.attacks.decision import Search
from runners.attacks.geometry import BATCH_BYTES, Bools, Floats, Inputs, Ints, Norm, ValueRange, ask
from runners.models.base import Model
from runners.registry import attack

#: Shares of proposals that succeed between which a step size stays as it is.
_FEW, _MANY = 0.2, 0.5
#: A step of this size, relative to the distance, moves nothing any more in float32.
_SMALLEST = 1e-7
_LARGEST = 0.9


@attack(
    "boundary",
    title="Boundary attack",
    requires="queries",
    norms=("l2",),
    reference="Brendel, Rauber and Bethge, ICLR 2018",
    limits="It sees classes only and needs many questions: with few the distances are far from the nearest example, "
    "and robust accuracy is too high. l2 only. `eps` does not steer it.",
    queries=lambda parameters: int(parameters["queries"]),
)
def boundary(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    queries: Annotated[int, Field(ge=50, le=1_000_000)] = 5000,
    proposals: Annotated[int, Field(ge=1, le=1000)] = 5,
    around: Annotated[float, Field(gt=0, le=1)] = 0.1,
    toward: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    starts: Annotated[int, Field(ge=1, le=1000)] = 25,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """Step sideways at the same distance, then nearer, and stay where the model is still wrong; it sees classes only.

    Args:
        queries: budget of each item, everything counted.
        proposals: sideways steps that an item tries in a round; each costs two questions.
        around: length of the first sideways step, relative to the distance; toward: of the first step nearer.
            Both then follow the share of proposals that succeed.
        starts: random points tried for a start where no other item gives one.
        engine: `art` is ART's, which asks item by item; its starts are found as ours.

    Returns the inputs, changed where an example was found, at whatever distance: `eps` only tells success, it does
    not steer. Items that are wrong to begin with stay as they are, and so do items for which no start was found.
    """
    search = Search(model, x, y, norm="l2", value_range=value_range, rng=rng, budget=queries)
    search.start(starts)
    if engine == "art":
        from runners.adapters.art import generate

        rounds = max(1, (queries - int(search.used.max(initial=0))) // (2 * proposals))
        options = {
            "max_iter": rounds, "sample_size": proposals, "delta": around, "epsilon": toward, "start": search.best,
        }  # fmt: skip
        return generate("boundary", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options)
    walk = _Walk(model, x, y, search, value_range, rng, around, toward)
    index = search.active()
    while index.size:
        asked = walk.step(index, proposals)
        search.used[index] += asked
        index = index[(queries - search.used[index] >= asked) & walk.moving(index)]
    return walk.point


class _Walk:
    """Where each item's nearest example is: `point`. Inside, items are rows of numbers (n, size)."""

    def __init__(
        self,
        model: Model,
        x: Inputs,
        y: Ints,
        search: Search,
        value_range: ValueRange,
        rng: np.random.Generator,
        around: float,
        toward: float,
    ) -> None:
        self._model, self._y, self._range, self._rng = model, y, value_range, rng
        self._item = x.shape[1:]
        self._size = math.prod(self._item)
        self._x = x.reshape(x.shape[0], self._size).astype(np.float64)
        self._best = search.best.reshape(x.shape[0], self._size).copy()
        self._around = np.full(x.shape[0], around)
        self._toward = np.full(x.shape[0], toward)

    @property
    def point(self) -> Inputs:
        return self._best.reshape(-1, *self._item)

    def moving(self, index: Ints) -> Bools:
        return np.asarray(self._toward[index] > _SMALLEST)

    def step(self, index: Ints, proposals: int) -> int:
        """One round for these items: two round trips, more only where they are too many for one question.

        Returns the questions asked about each.
        """
        block = max(1, BATCH_BYTES // (8 * proposals * max(1, self._size)))
        for begin in range(0, index.size, block):
            self._step(index[begin : begin + block], proposals)
        return 2 * proposals

    def _step(self, index: Ints, proposals: int) -> None:
        x = self._x[index]
        offset = self._best[index] - x
        reach = np.sqrt((offset**2).sum(axis=1))
        aside = self._aside(offset / reach[:, None], self._around[index], proposals) * reach[:, None, None]
        still = self._wrong(index, self._clipped(x[:, None] + aside))
        nearer = self._clipped(x[:, None] + (1 - self._toward[index])[:, None, None] * aside)
        arrived = self._wrong(index, nearer, still)
        far = np.where(arrived, np.sqrt(((nearer - x[:, None]) ** 2).sum(axis=2)), np.inf)
        chosen = far.argmin(axis=1)
        better = far[np.arange(index.size), chosen] < reach
        self._best[index[better]] = nearer[better, chosen[better]]
        self._adapt(index, still, arrived)

    def _aside(self, axis: Floats, length: Floats, proposals: int) -> Floats:
        """Unit vectors (n, proposals, size): `axis` turned by about `length` in directions drawn evenly."""
        noise = self._rng.standard_normal((axis.shape[0], proposals, self._size))
        noise -= np.einsum("npi,ni->np", noise, axis)[..., None] * axis[:, None]
        noise /= np.maximum(np.sqrt((noise**2).sum(axis=2, keepdims=True)), np.finfo(np.float64).tiny)
        sideways = length[:, None, None]
        return np.asarray((axis[:, None] + sideways * noise) / np.sqrt(1 + sideways**2), dtype=np.float64)

    def _clipped(self, moved: Floats) -> Inputs:
        return np.clip(moved, *self._range).astype(np.float32)

    def _wrong(self, index: Ints, points: Inputs, among: Bools | None = None) -> Bools:
        """Where the model is wrong, (n, proposals); only those `among` are asked."""
        asked = np.ones(points.shape[:2], dtype=bool) if among is None else among
        answer = np.zeros(points.shape[:2], dtype=bool)
        true = np.broadcast_to(self._y[index][:, None], asked.shape)[asked]
        answer[asked] = ask(self._model, points[asked].reshape(-1, *self._item)) != true
        return answer

    def _adapt(self, index: Ints, still: Bools, arrived: Bools) -> None:
        """Shorter where few proposals succeed, longer where many do; a step nearer is judged where one aside held."""
        held = still.sum(axis=1)
        self._around[index] *= _factor(held / still.shape[1])
        some = index[held > 0]
        self._toward[some] *= _factor((arrived.sum(axis=1) / np.maximum(held, 1))[held > 0])
        for size in (self._around, self._toward):
            size[index] = np.minimum(size[index], _LARGEST)


def _factor(rate: Floats) -> Floats:
    return np.where(rate < _FEW, 2 / 3, np.where(rate > _MANY, 1.5, 1.0))
