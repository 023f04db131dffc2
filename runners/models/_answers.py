"""Checks of what a submission answered. Every failure is a `ProtocolError` that says which item and why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.channel.errors import ProtocolError

_SUM_TOLERANCE = 1e-3
Floats = npt.NDArray[np.float64]


def tensor_names(metadata: dict[str, Any]) -> tuple[str, str]:
    """Names of the first input and output. Raises `ProtocolError` where the metadata have none."""
    names = []
    for side in ("inputs", "outputs"):
        tensors = metadata.get(side)
        first = tensors[0] if isinstance(tensors, list) and tensors else None
        name = first.get("name") if isinstance(first, dict) else None
        if not isinstance(name, str) or not name or len(name) > 200:
            raise ProtocolError(f"GET /v2/models/model names no {side}")
        names.append(name)
    return names[0], names[1]


def probabilities(answer: npt.NDArray[Any], *, kind: str, first: int) -> Floats:
    """Probabilities whose rows sum to one, from probabilities or logits.

    `first` is the number of the first item, for texts. Raises `ProtocolError` for NaN, infinity,
    negative values or rows that do not sum to one within 1e-3.
    """
    values = answer.astype(np.float64)
    # A finite sum of squares has finite terms; an overflow is looked at more closely.
    if not math.isfinite(np.vdot(values, values)):
        _refuse(np.any(~np.isfinite(values), axis=1), values, first, "is not finite")
    if kind == "logits":
        values -= np.maximum.reduce(values, axis=1, keepdims=True)
        np.exp(values, values)
        values /= np.add.reduce(values, axis=1, keepdims=True)
        return values
    outside = np.any((values < -_SUM_TOLERANCE) | (values > 1 + _SUM_TOLERANCE), axis=1)
    _refuse(outside, values, first, "is outside [0, 1]; this competition expects probabilities, not logits")
    sums = values.sum(axis=1)
    _refuse(np.abs(sums - 1) > _SUM_TOLERANCE, values, first, "does not sum to 1")
    clipped = np.clip(values, 0.0, 1.0)
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def _refuse(wrong: Any, values: Floats, first: int, what: str) -> None:
    if wrong.any():
        index = int(np.argmax(wrong))
        shown = ", ".join(f"{value:.6g}" for value in values[index][:6]) + (", …" if values.shape[1] > 6 else "")
        raise ProtocolError(
            f"the answer to item {first + index} {what}; {int(wrong.sum())} items of this call",
            detail=f"it is [{shown}]",
        )


def finite(answer: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """`answer` unless a loss or gradient is NaN; logits may be -inf where a class has no chance."""
    for name in ("loss", "gradient"):
        if not np.isfinite(answer[name]).all():
            raise ProtocolError(f"the model's {name} is not finite")
    if np.isnan(answer["logits"]).any():
        raise ProtocolError("the model's logits hold NaN")
    return answer
