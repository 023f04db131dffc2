"""Examples that were made against surrogate models, to be shown to submissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from runners.registry import MetricValue


@dataclass(frozen=True)
class Examples:
    """What was made of items of the split against one surrogate.

    `chosen` (m,) int64: their rows, sorted. `x` (m, *shape) float32: one example for each of them. `correct` (m,):
    whether the surrogate is right on the item itself. `wrong` (m,): whether it is wrong on the example. `queries` and
    `seconds`: what making them took, when they were made.
    """

    chosen: npt.NDArray[np.int64]
    x: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.bool_]
    queries: int
    seconds: float


class Surrogates(Protocol):
    """Models that examples were made against before the submission was started."""

    def examples(self, name: str, key: str) -> Examples | MetricValue:
        """The examples ordered with `key` against a surrogate, or in their place what says why there are none."""
        ...
