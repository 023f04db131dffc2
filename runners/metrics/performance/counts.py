"""The confusion table: what accuracy and balanced accuracy are functions of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import IntArray, MetricContext

#: Larger tables are left out of the details: nobody reads them, and they would fill the database.
_LARGEST_SHOWN = 50


def answers(ctx: MetricContext) -> IntArray:
    """The predictions; the judge asks for them only after `needs` was checked."""
    if ctx.predictions is None:
        raise RuntimeError("a metric that reads predictions must declare the need `predictions`")
    return ctx.predictions


def distribution(ctx: MetricContext) -> npt.NDArray[np.float64]:
    """The probabilities, (n, classes)."""
    if ctx.probabilities is None:
        raise RuntimeError("a metric that reads probabilities must declare the need `probabilities`")
    return ctx.probabilities


def confusion(labels: IntArray, predictions: IntArray, classes: int) -> IntArray:
    """Counts `[true, predicted]`, (classes, classes), int64."""
    cells = labels * classes + predictions
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def confusion_details(table: IntArray, classes: tuple[str, ...]) -> dict[str, JsonValue]:
    """`confusion`: rows are true classes, columns predicted ones."""
    if table.shape[0] > _LARGEST_SHOWN:
        return {}
    return {"classes": list(classes), "confusion": table.tolist()}
