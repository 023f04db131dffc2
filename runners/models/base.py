"""The one interface through which attacks and metrics ask a submission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Access = Literal["queries", "gradients", "explanations"]
Loss = Literal["cross_entropy", "margin"]


class NoEcho(Exception):
    """No server of the platform's own can be asked beside the submission, or no longer; the text says why."""


class SizeRefused(Exception):
    """A submission answered that it has no answer to items of this shape; the text says what it answered."""


class BudgetSpent(Exception):
    """A submission may not be asked any more: what it may be asked is used up; the text says how much that was."""


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


class Answers(Protocol):
    """Whatever answers as a submission does."""

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]: ...


class Model(Protocol):
    """A submission that can be asked.

    `queries` counts items asked, `calls` counts round trips; both only grow.
    """

    access: frozenset[Access]
    queries: int
    calls: int

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Class probabilities, (n, classes), rows sum to one, for x of shape (n, *shape).

        Where the competition's `input.sizes` allows it, items may have another shape, the same for all of a call.

        Raises `ParticipantFault` where the submission dies, is late or answers nonsense, and `SizeRefused` where it
        takes no items of another shape.
        """
        ...

    def gradient(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, loss: Loss = "cross_entropy"
    ) -> Gradient:
        """Loss of x against y and its gradient. `margin` is max_{k != y} z_k - z_y.

        Raises `NotImplementedError` unless `gradients` is in `access`.
        """
        ...


@runtime_checkable
class Pulls(Protocol):
    """What a model that gives gradients may do besides, where `pulls`: differentiate any loss in one question."""

    @property
    def pulls(self) -> bool: ...

    def pull(self, x: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]) -> Gradient:
        """`loss` is the sum of `weights` (n, classes) times the logits of each item, `gradient` that of it.

        With the slopes of a loss in the logits as weights, that is the gradient of the loss (a vector-Jacobian
        product).
        """
        ...


def can_pull(model: object) -> bool:
    """Whether `model.pull` may be asked."""
    return isinstance(model, Pulls) and model.pulls


@runtime_checkable
class Explains(Protocol):
    """What a model whose `access` holds `explanations` does besides: it says why it answers as it does."""

    def explain(self, x: npt.NDArray[np.float32], target: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Its own attributions for the classes `target` (n,): finite, of the shape of x, or (n, 1, height, width).

        Positive numbers speak for the class. Each item counts as one query, whatever the submission computes inside.
        Raises `ParticipantFault` where the submission dies, is late or answers nonsense.
        """
        ...
