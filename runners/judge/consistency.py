"""Does a submission answer the same question the same way? A few items are asked a second time.

That it does not is no fault (randomised defences exist), but a reader of its results has to know: every number is
then one draw of many, and an attack that found little may have been lied to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from runners.context import FloatArray, Inputs
from runners.models.base import Model

#: Of the items, the share that is asked again, and the most of them.
_SHARE, _MOST = 0.05, 16
#: Differences in probability that other batches and threads explain.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Consistency:
    """`asked`: items asked again; `differed`: those that moved by more than `TOLERANCE`; `largest`: by how much."""

    asked: int
    differed: int
    largest: float

    @property
    def message(self) -> str:
        """What the run's history says about it; empty where all answers were the same."""
        if not self.differed:
            return ""
        return (
            f"The submission answered {self.differed} of {self.asked} items differently when asked again, by up to "
            f"{self.largest:.2g} in probability: its results are one draw of many, and an attack may have missed much."
        )

    @property
    def data(self) -> dict[str, JsonValue]:
        """The same as data."""
        return {"asked_again": self.asked, "differed": self.differed, "largest_difference": self.largest}


def ask_again(model: Model, x: Inputs, answers: FloatArray, *, rng: np.random.Generator) -> Consistency:
    """Ask a few items of x again, in one question, and compare with `answers`, (n, classes).

    Raises:
        ParticipantFault: from the model, where it dies, is late or answers nonsense.
    """
    count = min(x.shape[0], max(1, min(_MOST, round(_SHARE * x.shape[0]))))
    if count == 0:
        return Consistency(0, 0, 0.0)
    rows = rng.choice(x.shape[0], size=count, replace=False)
    moved = np.abs(model.predict(np.ascontiguousarray(x[rows])) - answers[rows]).max(axis=1)
    return Consistency(count, int((moved > TOLERANCE).sum()), float(moved.max()))
