"""AutoAttack: four attacks of different kinds in turn on what holds out, without any parameter to tune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from runners.attacks.apgd import apgd
from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange, ask, into_ball, probabilities, where_found
from runners.attacks.square import square
from runners.models.base import Model
from runners.registry import Asks, attack

#: Below so many classes the targeted losses do not exist.
_TARGETED = 4
_TARGETS = 9
#: Questions of a gradient step of a targeted part, about: logits, and up to three differences of them.
_EACH = 4
_SAMPLES = 20
#: pyautoattack's Square needs five by five tiles in l2, and an image to place them in.
_LEAST_SIDE = 5


def _queries(parameters: Mapping[str, Any]) -> Asks:
    """As for an item that holds out against all parts."""
    if parameters["version"] == "rand":
        return Asks(0, 2 * _SAMPLES * parameters["steps"] * 3)
    return Asks(parameters["queries"], parameters["steps"] * (1 + 2 * _TARGETS * _EACH))


@attack(
    "autoattack",
    title="AutoAttack",
    requires="gradients",
    norms=("linf", "l2"),
    reference="Croce and Hein, ICML 2020; the authors' code as packaged by pyautoattack",
    limits="Comparable to published figures only with its defaults, four or more classes and images of at least 5 × "
    "5 pixels. Made for models that answer alike and differentiably: a randomised one needs `version: rand`, a "
    "detector an attack of its own. Examples lie anywhere in the ball, so distances say nothing.",
    queries=_queries,
)
def autoattack(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    version: Literal["standard", "rand"] = "standard",
    steps: Annotated[int, Field(ge=1, le=10_000)] = 100,
    queries: Annotated[int, Field(ge=1, le=1_000_000)] = 5000,
) -> Inputs:
    """APGD on the cross-entropy, targeted APGD on the logit ratio, targeted FAB, Square; each on what is left.

    Only with four or more classes, 100 `steps`, 5000 `queries` and `version: standard` on images is the result
    comparable to published AutoAttack figures. With fewer than ten classes all others are targets. With two or three,
    where the targeted losses do not exist, it is APGD on the cross-entropy (three: and the untargeted ratio), FAB,
    APGD on the margin, and Square. Items that are no images of at least 5 x 5 meet our own Square. `version: rand`, for
    randomised models, is untargeted APGD on both losses with each gradient the mean of 20.

    Examples lie anywhere in the ball. Returns the inputs, changed where an example was found.
    """
    if x.shape[0] == 0:
        return x.copy()
    from runners.adapters.autoattack import Settings

    settings = Settings(
        norm, eps, value_range, seed=int(rng.integers(2**31)), steps=steps, queries=queries,
        samples=_SAMPLES if version == "rand" else 1,
    )  # fmt: skip
    return _Turns(model, x, y, settings, rng).run()


class _Turns:
    """The parts in turn; `_out` is the items, changed where one of them found an example."""

    def __init__(self, model: Model, x: Inputs, y: Ints, settings: Any, rng: np.random.Generator) -> None:
        self._model, self._x, self._y, self._settings, self._rng = model, x, y, settings, rng
        self._out = x.copy()
        self._left = np.arange(x.shape[0])
        self._classes = probabilities(model, x[:1]).shape[1]

    def run(self) -> Inputs:
        image = self._x.ndim == 4 and min(self._x.shape[2:]) >= _LEAST_SIDE
        if self._settings.samples > 1:
            self._packaged(["apgd-ce", "apgd-dlr"] if self._classes > 2 else ["apgd-ce"])
        elif self._classes >= _TARGETED:
            self._packaged(["apgd-ce", "apgd-t", "fab-t", *(["square"] if image else [])])
        else:
            self._packaged(["apgd-ce", "apgd-dlr", "fab"] if self._classes > 2 else ["apgd-ce", "fab"])
            self._own(apgd, steps=self._settings.steps, restarts=1, loss="margin")
            if image:
                self._packaged(["square"])
        if self._settings.samples == 1 and not image:
            self._own(square, queries=max(2, self._settings.queries))
        return self._out

    def _packaged(self, parts: Any) -> None:
        from runners.adapters.autoattack import evaluate

        if self._left.size:
            x, y = self._x[self._left], self._y[self._left]
            self._take(evaluate(self._model, x, y, parts, self._settings, self._classes)[0])

    def _own(self, attack_of_ours: Any, **parameters: Any) -> None:
        if self._left.size:
            common = {"norm": self._settings.norm, "eps": self._settings.eps, "value_range": self._settings.value_range}
            x, y = self._x[self._left], self._y[self._left]
            self._take(attack_of_ours(self._model, x, y, **common, rng=self._rng, **parameters))

    def _take(self, point: Inputs) -> None:
        """Keep what fools the model once it is back in the ball: scaling to [0, 1] and back rounds."""
        x, y = self._x[self._left], self._y[self._left]
        radius = np.full(x.shape[0], self._settings.eps)
        point = into_ball(point.astype(np.float64), x, radius, self._settings.norm, self._settings.value_range)
        changed = (point != x).reshape(x.shape[0], -1).any(axis=1)
        found = np.zeros(x.shape[0], dtype=bool)
        found[changed] = ask(self._model, point[changed]) != y[changed]
        self._out[self._left] = where_found(x, point, found)
        self._left = self._left[~found]
