"""Arithmetic, comparisons, activations, reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from runners.models.onnx_torch.registry import Attributes, Inputs, Tensor, given, integers, need, operator


def _unary(name: str, function: Callable[[Tensor], Tensor]) -> None:
    operator(name)(lambda inputs, _attributes, _opset: function(need(inputs)))


def _binary(name: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    operator(name)(lambda inputs, _attributes, _opset: function(need(inputs), need(inputs, 1)))


for _name, _function in {
    "Neg": torch.neg, "Sqrt": torch.sqrt, "Exp": torch.exp, "Log": torch.log, "Abs": torch.abs, "Relu": torch.relu,
    "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Softplus": F.softplus, "Reciprocal": torch.reciprocal,
    "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign, "Sin": torch.sin,
    "Cos": torch.cos, "Erf": torch.erf, "Not": torch.logical_not, "Softsign": F.softsign, "Mish": F.mish,
    "HardSwish": F.hardswish, "Identity": lambda x: x,
}.items():  # fmt: skip
    _unary(_name, _function)

for _name, _function in {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Equal": torch.eq, "Greater": torch.gt, "Less": torch.lt,
    "GreaterOrEqual": torch.ge, "LessOrEqual": torch.le, "And": torch.logical_and, "Or": torch.logical_or,
    "Xor": torch.logical_xor, "MatMul": torch.matmul,
    "PRelu": lambda x, slope: torch.where(x < 0, x * slope, x),
    "Pow": lambda x, y: torch.pow(x, y).to(x.dtype),
}.items():  # fmt: skip
    _binary(_name, _function)


@operator("Div")
def _div(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    x, y = need(inputs), need(inputs, 1)
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


@operator("Mod")
def _mod(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    function = torch.fmod if attributes.get("fmod", 0) else torch.remainder
    return function(need(inputs), need(inputs, 1))


@operator("Min")
def _min(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    result = need(inputs)
    for index in range(1, len(inputs)):
        result = torch.minimum(result, need(inputs, index))
    return result


@operator("Max")
def _max(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    result = need(inputs)
    for index in range(1, len(inputs)):
        result = torch.maximum(result, need(inputs, index))
    return result


@operator("Sum", "Mean")
def _sum(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    total = need(inputs)
    for index in range(1, len(inputs)):
        total = total + need(inputs, index)
    return total / len(inputs) if attributes["operator"] == "Mean" else total


@operator("Clip")
def _clip(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    low, high = given(inputs, 1), given(inputs, 2)
    least = low.item() if low is not None else attributes.get("min")
    most = high.item() if high is not None else attributes.get("max")
    return x if least is None and most is None else torch.clamp(x, least, most)


@operator("LeakyRelu")
def _leaky_relu(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return F.leaky_relu(need(inputs), attributes.get("alpha", 0.01))


@operator("Elu")
def _elu(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return F.elu(need(inputs), attributes.get("alpha", 1.0))


@operator("Selu")
def _selu(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    alpha, gamma = attributes.get("alpha", 1.6732632), attributes.get("gamma", 1.0507010)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


@operator("Gelu")
def _gelu(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return F.gelu(need(inputs), approximate=attributes.get("approximate", "none"))


@operator("HardSigmoid")
def _hard_sigmoid(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return torch.clamp(attributes.get("alpha", 0.2) * need(inputs) + attributes.get("beta", 0.5), 0, 1)


@operator("Softmax", "LogSoftmax")
def _softmax(inputs: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x = need(inputs)
    function = F.log_softmax if attributes["operator"] == "LogSoftmax" else F.softmax
    if opset >= 13:
        return function(x, dim=attributes.get("axis", -1))
    # Before opset 13 everything from the axis on is one row.
    axis = attributes.get("axis", 1) % x.dim()
    return function(x.flatten(start_dim=axis), dim=axis).reshape(x.shape)


@operator("Where")
def _where(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    return torch.where(need(inputs).bool(), need(inputs, 1), need(inputs, 2))


@operator("ArgMax", "ArgMin")
def _arg(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    if attributes.get("select_last_index", 0):
        raise ValueError("select_last_index=1 is not supported")
    function = torch.argmax if attributes["operator"] == "ArgMax" else torch.argmin
    return function(need(inputs), dim=attributes.get("axis", 0), keepdim=bool(attributes.get("keepdims", 1)))


_REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceMean": lambda x, axes, keep: x.mean(dim=axes, keepdim=keep),
    "ReduceSum": lambda x, axes, keep: x.sum(dim=axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: x.amax(dim=axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: x.amin(dim=axes, keepdim=keep),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(dim=axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: x.square().sum(dim=axes, keepdim=keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(dim=axes, keepdim=keep),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, dim=axes, keepdim=keep),
}


@operator(*_REDUCTIONS)
def _reduce(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    axes = integers(inputs, 1, attributes, "axes")
    if not axes:
        if attributes.get("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.dim()))
    return _REDUCTIONS[attributes["operator"]](x, axes, bool(attributes.get("keepdims", 1)))


@operator("ReduceProd")
def _reduce_prod(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    axes = integers(inputs, 1, attributes, "axes") or list(range(x.dim()))
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(dim=axis, keepdim=bool(attributes.get("keepdims", 1)))
    return x


@operator("IsNaN")
def _is_nan(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    return torch.isnan(need(inputs))


@operator("Celu")
def _celu(inputs: Inputs, attributes: Attributes, _opset: int) -> Any:
    return F.celu(need(inputs), attributes.get("alpha", 1.0))


@operator("ThresholdedRelu")
def _thresholded_relu(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    return torch.where(x > attributes.get("alpha", 1.0), x, torch.zeros_like(x))


@operator("LpNormalization")
def _lp_normalization(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return F.normalize(need(inputs), p=float(attributes.get("p", 2)), dim=attributes.get("axis", -1), eps=math.ulp(0.0))
