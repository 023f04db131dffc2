"""One perturbation for all items."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from runners.attacks.geometry import Floats, Inputs, Ints, Norm, ValueRange, ask, column, margin, steepest, where_found
from runners.attacks.gradient import ask_gradient
from runners.models.base import Model
from runners.registry import Asks, attack


@attack(
    "universal",
    title="Universal perturbation",
    requires="gradients",
    norms=("linf", "l2"),
    reference="Moosavi-Dezfooli et al., CVPR 2017; by gradient steps: Shafahi et al., AAAI 2020",
    limits="Learned on the very items that are attacked: it tells what is possible, not what carries over to "
    "others. By nature weaker than attacks on each item, so no measure of robustness by itself. Distances say "
    "nothing.",
    # ART's DeepFool asks some hundred times about an item in each pass.
    queries=lambda parameters: Asks(2, parameters["steps"] * (300 if parameters["engine"] == "art" else 1)),
)
def universal(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    steps: Annotated[int, Field(ge=1, le=100_000)] = 100,
    step_size: Annotated[float, Field(gt=0)] | None = None,
    batch: Annotated[int, Field(ge=1)] | None = None,
    sureness: Annotated[float, Field(ge=0)] = 1.0,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """The one perturbation of length eps that fools most of the items, by steps along their gradients' mean.

    It is learned on the very items that are attacked, so it says what is possible, not what carries over to others.

    Args:
        steps: gradient steps. `step_size` is in the units of eps; by default eps / 10 and, in the second half, less and
            less.
        batch: items drawn for a step; all of them by default.
        sureness: an item whose margin is beyond this counts no more, so that none draws all to itself.
        engine: `art` is ART's (by DeepFool, `steps` passes, item by item).

    Returns the inputs, changed where the perturbation fools the model; each change is the same but for clipping to the
    value range.
    """
    if engine == "art":
        from runners.adapters.art import generate

        options = {"max_iter": steps}
        return generate("universal", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options)
    if x.shape[0] == 0:
        return x.copy()
    search = _Search(model, x, y, norm, eps, value_range)
    size = eps / 10 if step_size is None else step_size
    for number in range(steps):
        chosen = np.arange(x.shape[0])
        if batch is not None and batch < chosen.size:
            chosen = np.sort(rng.choice(chosen.size, size=batch, replace=False))
        search.step(chosen, size * min(1.0, 2 * (1 - number / steps)), sureness)
        if search.all_fooled:
            break
    return search.finish()


class _Search:
    """`_shift` is the perturbation, of the shape of an item with one axis before it; `_best` the most fooling one."""

    def __init__(self, model: Model, x: Inputs, y: Ints, norm: Norm, eps: float, value_range: ValueRange) -> None:
        self._model, self._x, self._y, self._norm, self._eps, self._range = model, x, y, norm, eps, value_range
        self._shift: Floats = np.zeros((1, *x.shape[1:]))
        self._best, self._share = self._shift, -1.0
        self.all_fooled = False

    def _apply(self, index: Ints, shift: Floats) -> Inputs:
        return np.clip(self._x[index] + shift, *self._range).astype(np.float32)

    def step(self, chosen: Ints, size: float, sureness: float) -> None:
        """Ask for the gradients of the chosen items at the perturbation, and move it."""
        answer = ask_gradient(self._model, self._apply(chosen, self._shift), self._y[chosen], "margin")
        value = margin(answer.logits, self._y[chosen])
        self._remember(float((answer.logits.argmax(axis=1) != self._y[chosen]).mean()), chosen.size)
        counts = column((value < sureness).astype(np.float64), answer.gradient)
        total = (answer.gradient * counts).sum(axis=0, keepdims=True)
        self._shift = self._project(self._shift + size * steepest(total, self._norm))

    def _remember(self, share: float, asked: int) -> None:
        if share > self._share:
            self._best, self._share = self._shift, share
        self.all_fooled = share == 1.0 and asked == self._x.shape[0]

    def _project(self, shift: Floats) -> Floats:
        # Adding in float32 rounds: the perturbation stays that much shorter than eps.
        ulp = float(np.spacing(np.float32(max(1.0, *np.abs(self._range)))))
        if self._norm == "linf":
            room = max(self._eps - ulp, 0.0)
            return np.clip(shift, -room, room)
        room = max(self._eps - ulp / 2 * math.sqrt(shift.size), 0.0)
        length = float(np.sqrt((shift**2).sum()))
        return shift * min(1.0, room / length) if length > 0 else shift

    def finish(self) -> Inputs:
        """Whichever fools more of all items: the best perturbation on the way, or the last."""
        out, most = self._x.copy(), -1
        everything = np.arange(self._x.shape[0])
        candidates = [self._shift] if self._best is self._shift else [self._best, self._shift]
        for shift in candidates:
            point = self._apply(everything, shift)
            wrong = ask(self._model, point) != self._y
            if int(wrong.sum()) > most:
                out, most = where_found(self._x, point, wrong), int(wrong.sum())
        return out
