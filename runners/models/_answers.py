"""Checks of what a submission answered. Every failure is a `ProtocolError` that says which item and why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.channel.errors import ProtocolError
from runners.spec.models import InputSpec

_SUM_TOLERANCE = 1e-3
#: Names of the output with a submission's own attributions, and of the input that says for which class.
ATTRIBUTION, TARGET = "attribution", "target"
#: A submission may declare so many numbers, of such size.
_MOST_DECLARED, _LARGEST_DECLARED = 16, 1e15
#: Sums of squares of larger attributions overflow, and an item without a finite number would be left out.
_LARGEST_ATTRIBUTION = 1e100
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


def attribution_shape(metadata: dict[str, Any], input: InputSpec) -> tuple[int, ...] | None:  # noqa: A002
    """Shape of the attributions of one item that a submission offers; None where its metadata name none.

    That of the item, or (height, width) where the metadata give an image's attributions three sizes.
    """
    outputs = metadata.get("outputs")
    for entry in outputs[1:] if isinstance(outputs, list) else ():
        if isinstance(entry, dict) and entry.get("name") == ATTRIBUTION:
            sizes = entry.get("shape")
            flat = input.kind == "image" and isinstance(sizes, list) and len(sizes) == len(input.shape)
            return input.shape[1:] if flat else input.shape
    return None


def attributions(answer: npt.NDArray[Any], *, shape: tuple[int, ...]) -> Floats:
    """Attributions (n, *shape), float64; those without channels get one. Raises `ProtocolError` unless all are
    finite and no larger than 1e100.
    """
    values = answer.astype(np.float64)
    if not np.isfinite(values).all():
        raise ProtocolError("the attributions are not finite")
    if values.size and max(float(values.max()), -float(values.min())) > _LARGEST_ATTRIBUTION:
        raise ProtocolError(f"the attributions are larger than {_LARGEST_ATTRIBUTION:g}")
    return values.reshape(len(values), *(1,) * (len(shape) - values.ndim + 1), *values.shape[1:])


def declared_privacy(metadata: dict[str, Any]) -> dict[str, float]:
    """Numbers by name that a submission declares of its training under `privacy` among its metadata's parameters.

    They are what it says of itself: nothing is believed, and what is no number, or too much, is left out.
    """
    parameters = metadata.get("parameters")
    told = parameters.get("privacy") if isinstance(parameters, dict) else None
    if not isinstance(told, dict) or len(told) > _MOST_DECLARED:
        return {}
    known = (float, int)
    return {
        str(name): float(value)
        for name, value in told.items()
        if type(value) in known and abs(value) < _LARGEST_DECLARED
    }  # fmt: skip


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
