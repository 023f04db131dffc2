"""Operators by name. An operator gets its inputs (None: left out), its attributes and the opset version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

Tensor: TypeAlias = torch.Tensor
Inputs = list[Tensor | None]
Attributes = dict[str, Any]
Operator = Callable[[Inputs, Attributes, int], Any]

OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register an implementation of ONNX operators of the default domain."""

    def register(function: Operator) -> Operator:
        for name in names:
            OPERATORS[name] = function
        return function

    return register


def given(inputs: Inputs, index: int) -> Tensor | None:
    """The input at `index`, or None where it was left out."""
    return inputs[index] if index < len(inputs) else None


def need(inputs: Inputs, index: int = 0) -> Tensor:
    """The input at `index`. Raises ValueError where it was left out."""
    value = given(inputs, index)
    if value is None:
        raise ValueError(f"input {index} is missing")
    return value


def integers(inputs: Inputs, index: int, attributes: Attributes, name: str) -> list[int] | None:
    """A list of integers given as an input (newer opsets) or as an attribute (older ones); None: neither."""
    value = given(inputs, index)
    if value is not None:
        return [int(v) for v in value.reshape(-1).tolist()]
    found = attributes.get(name)
    return None if found is None else [int(v) for v in found]
