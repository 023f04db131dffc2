"""The few scores that baselines are expected to get, in plain numpy: an oracle for the platform's own metrics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def accuracy(y: Ints, predicted: Ints) -> float:
    """Share of items that are right."""
    return float(np.mean(y == predicted))


def balanced_accuracy(y: Ints, predicted: Ints) -> float:
    """Mean over classes of the share of that class that is right."""
    return float(np.mean([np.mean(predicted[y == each] == each) for each in np.unique(y)]))


def log_loss(y: Ints, probabilities: Floats) -> float:
    """Mean negative natural logarithm of the probability given to the true class."""
    return float(-np.mean(np.log(probabilities[np.arange(len(y)), y])))


def roc_auc(y: Ints, score: Floats) -> float:
    """Share of (positive, negative) pairs in the right order, ties a half. `y` is 1 for positive."""
    positive, negative = score[y == 1], np.sort(score[y == 0])
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return float(np.mean((below + upto) / 2) / len(negative))


def selection_rate(chosen: npt.NDArray[np.bool_]) -> float:
    """Share of items that get the favourable outcome."""
    return float(np.mean(chosen))


def confusion(y: Ints, predicted: Ints) -> tuple[int, int, int, int]:
    """TN, FP, FN, TP with 1 as the positive class."""
    counts = np.bincount(2 * y + predicted, minlength=4)
    return int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])
