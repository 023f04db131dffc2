"""The one interface through which attacks and metrics ask a submission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Access = Literal["queries", "gradients"]
Loss = Literal["cross_entropy", "margin"]


@dataclass(frozen=True)
class Gradient:
    """Answer to a white-box question.

    `loss`: (n,), float64, per item. `gradient`: of the loss with respect to x, shape of x, float32.
    `logits`: (n, classes), float64, what the model answered for x (log-probabilities where the
    model answers probabilities).
    """

    loss: npt.NDArray[np.float64]
    gradient: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float64]


class Model(Protocol):
    """A submission that can be asked.

    `queries` counts items asked, `calls` counts round trips; both only grow.
    """

    access: frozenset[Access]
    queries: int
    calls: int

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Class probabilities, (n, classes), rows sum to one, for x of shape (n, *shape).

        Raises `ParticipantFault` where the submission dies, is late or answers nonsense.
        """
        ...

    def gradient(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, loss: Loss = "cross_entropy"
    ) -> Gradient:
        """Loss of x against y and its gradient. `margin` is max_{k != y} z_k - z_y.

        Raises `NotImplementedError` unless `gradients` is in `access`.
        """
        ...
